"""The log of every step."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from dltrain_trainer.training.metrics_log import MetricsLog
from tests.trainer.builders import json_lines, no_file_larger_than


def logged(file: Path, kept: int, steps: range, attempt: int = 1) -> None:
    """Record some steps after those that are kept."""
    log = MetricsLog(file, kept)
    for step in steps:
        log.write({"attempt": attempt, "step": step, "loss": step / 3})
    log.close()


def steps(file: Path) -> list[tuple[int, int]]:
    return [(line["step"], line["attempt"]) for line in json_lines(file)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_a_record_is_one_line(file: Path) -> None:
    log = MetricsLog(file, 0)
    log.write({"epoch": 3, "step": 7, "loss": None})
    log.close()
    assert file.read_text() == '{"epoch": 3, "step": 7, "loss": null}\n'


def test_floats_read_back_to_the_same_bits(file: Path) -> None:
    losses = [1 / 3, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
    log = MetricsLog(file, 0)
    for step, loss in enumerate(losses):
        log.write({"step": step, "loss": loss})
    log.close()
    assert [line["loss"] for line in json_lines(file)] == losses


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_word_for_is_not_written(file: Path, loss: float) -> None:
    log = MetricsLog(file, 0)
    with pytest.raises(ValueError, match="JSON compliant"):
        log.write({"step": 1, "loss": loss})
    log.close()
    assert file.read_text() == ""


def test_steps_after_the_last_checkpoint_are_dropped_for_they_are_done_again(file: Path) -> None:
    logged(file, 0, range(1, 8))
    logged(file, 4, range(5, 8), attempt=2)
    assert steps(file) == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2)]


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param(b'{"attempt": 1, "epoch": 1, "st', id="in the middle"),
        pytest.param(b'{"attempt": 1, "epoch": 1, "step": 3, "loss": 1.0, "lr": 0.1}', id="before its end of line"),
        pytest.param(bytes(40), id="zeros, as a file system may leave"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(b"7\n", id="another value"),
    ],
)
def test_a_torn_last_line_is_dropped(file: Path, torn: bytes) -> None:
    logged(file, 0, range(1, 3))
    with file.open("ab") as log:
        log.write(torn)
    logged(file, 3, range(4, 6), attempt=2)
    assert steps(file) == [(1, 1), (2, 1), (4, 2), (5, 2)]


def test_no_step_is_there_twice_even_if_the_first_lines_were_lost(file: Path) -> None:
    logged(file, 3, range(4, 7))
    logged(file, 3, range(4, 7), attempt=2)
    assert steps(file) == [(4, 2), (5, 2), (6, 2)]


def test_readers_see_what_was_flushed(file: Path) -> None:
    log = MetricsLog(file, 0)
    log.write({"attempt": 1, "step": 1})
    log.flush()
    assert steps(file) == [(1, 1)]
    log.close()


def test_a_storage_that_refuses_is_tried_again_and_nothing_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now, folder = [0.0], tmp_path / "away"
    log = MetricsLog(folder / "metrics.jsonl", 0, clock=lambda: now[0])
    log.write({"step": 1})
    log.sync()
    folder.mkdir()
    log.write({"step": 2})
    log.flush()
    assert not list(folder.iterdir()), "it is left alone for a while"
    now[0] = 5.0
    log.sync()
    assert (folder / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    log.close()
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        f"cannot write {folder / 'metrics.jsonl'}: No such file or directory",
        f"{folder / 'metrics.jsonl'}: the storage takes records again",
    ]


def test_a_full_disk_costs_the_last_lines_and_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "metrics.jsonl"
    log = MetricsLog(file, 0)
    log.write({"step": 1})
    log.flush()
    with no_file_larger_than(20):
        for step in (2, 3):
            log.write({"step": step})
        log.flush()
        log.close()
    assert steps_of(file) == [1]
    assert [record.message for record in caplog.records][1:] == [f"{file}: the storage has not taken the last 2 lines"]
    logged(file, 1, range(2, 4), attempt=2)
    assert steps_of(file) == [1, 2, 3]


def steps_of(file: Path) -> list[int]:
    """The steps of the whole lines of a file."""
    lines = file.read_bytes().splitlines(keepends=True)
    return [json.loads(line)["step"] for line in lines if line.endswith(b"\n")]
