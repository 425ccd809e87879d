"""Files for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dltrain_trainer.report.events import EventLog


def read(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Name -> (step, value, time) of every value that TensorBoard shows."""
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {
        name: [(event.step, event.value, event.wall_time) for event in reader.Scalars(name)]
        for name in reader.Tags()["scalars"]
    }


def write(folder: Path, steps: range, *, kept: int = 0, attempt: int = 1) -> None:
    log = EventLog(folder, kept, attempt, now=1000.0)
    for step in steps:
        log.scalars(step, {"train/loss": attempt + step / 8, "train/lr": 0.5}, now=1000.0 + step)
    log.close()


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "events", range(1, 4))
    assert read(tmp_path / "events") == {
        "train/loss": [(1, 1.125, 1001.0), (2, 1.25, 1002.0), (3, 1.375, 1003.0)],
        "train/lr": [(1, 0.5, 1001.0), (2, 0.5, 1002.0), (3, 0.5, 1003.0)],
    }


def test_after_a_restart_steps_that_are_done_again_are_shown_once(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    write(tmp_path, range(3, 5), kept=2, attempt=2)
    assert [(step, value) for step, value, _ in read(tmp_path)["train/loss"]] == [
        (1, 1.125),
        (2, 1.25),
        (3, 2.375),
        (4, 2.5),
    ]


def test_attempts_in_the_same_second_write_different_files(tmp_path: Path) -> None:
    write(tmp_path, range(1, 2), attempt=1)
    write(tmp_path, range(2, 3), kept=1, attempt=2)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_flushed_can_be_read_while_training_goes_on(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 0, 1, now=1000.0)
    log.scalars(1, {"validation/accuracy": 0.5}, now=1001.0)
    log.flush()
    assert read(tmp_path) == {"validation/accuracy": [(1, 0.5, 1001.0)]}
    log.close()


def test_a_storage_that_refuses_is_said_and_tried_again_in_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    (tmp_path / "file").write_text("in the way")
    log = EventLog(tmp_path / "file", 0, 1, now=0.0, clock=lambda: now[0])
    log.scalars(1, {"train/loss": 1.0}, now=1.0)
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        f"cannot write {tmp_path / 'file'}: File exists"
    ]
    (tmp_path / "file").unlink()
    log.scalars(2, {"train/loss": 2.0}, now=2.0)
    now[0] = 30.0
    log.scalars(3, {"train/loss": 3.0}, now=3.0)
    log.close()
    assert read(tmp_path / "file") == {"train/loss": [(3, 3.0, 3.0)]}
