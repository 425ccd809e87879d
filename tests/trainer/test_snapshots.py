"""Snapshots in memory: whole or nothing, taken as often as they are cheap, and gone on from to the bit."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dltrain.api.job import DLTrainJob
from dltrain_trainer.checkpoint import Checkpoints, Keeper
from dltrain_trainer.checkpoint import keeper as keeper_module
from dltrain_trainer.checkpoint.memory import Memory, Snapshot, told_in_memory
from dltrain_trainer.checkpoint.pace import Pace
from dltrain_trainer.checkpoint.restoring import restore
from dltrain_trainer.checkpoint.writer import Writer, Written
from dltrain_trainer.errors import ToldToEndError
from dltrain_trainer.training.state import TrainingState
from tests.trainer.builders import equal, losses, npz, pipeline_job, saved, trained
from tests.trainer.group import Meeting, ThreadCommunicator, on_ranks

TRAINING = {"samples": 22}
RESNET = {"name": "resnet18", "resnet": {"width": 4}}


def tensors(value: float) -> dict[str, Tensor]:
    """A state of several types, layouts and sizes; odd ones and an empty one among them."""
    weight = torch.full((2, 3, 4, 4), value).to(memory_format=torch.channels_last)
    flags = torch.full((5,), bool(value))
    return {"weight": weight, "count": torch.tensor(int(value)), "flags": flags, "none": torch.zeros(0)}


def memory(folder: Path, **training: Any) -> Memory:
    made = Memory(folder, {**TRAINING, **training})
    made.prepare(tensors(0))
    return made


def content(folder: Path, snapshot: Snapshot) -> dict[str, Tensor]:
    from safetensors.torch import load  # noqa: PLC0415 - the reader of this test alone

    assert snapshot.file.parent == folder
    return load(snapshot.file.read_bytes())


# ---------------------------------------------------------------- slots
def test_another_process_finds_the_newest_snapshot_as_it_was_taken(tmp_path: Path) -> None:
    first = memory(tmp_path)
    for step in (3, 5, 4):
        first.take(tensors(step), step)
    found = Memory(tmp_path, TRAINING).find()
    assert found is not None
    assert found.step == 5
    assert equal(content(tmp_path, found), tensors(5))


def test_the_newest_snapshot_and_one_that_is_read_are_never_written_over(tmp_path: Path) -> None:
    mine = memory(tmp_path)
    read = mine.take(tensors(1), 1)
    for step in range(2, 9):
        before = mine.newest
        taken = mine.take(tensors(step), step, busy=read.file)
        assert taken.file not in {read.file, before.file if before else None}
    assert equal(content(tmp_path, read), tensors(1))


def test_slots_that_are_made_ready_again_keep_what_was_found(tmp_path: Path) -> None:
    memory(tmp_path).take(tensors(7), 7)
    second = Memory(tmp_path, TRAINING)
    found = second.find()
    second.prepare(tensors(0))
    second.take(tensors(8), 8)
    assert found is not None
    assert equal(content(tmp_path, found), tensors(7))


def test_slots_of_another_model_are_made_anew(tmp_path: Path) -> None:
    memory(tmp_path).take(tensors(7), 7)
    other = Memory(tmp_path, TRAINING)
    other.prepare({"weight": torch.zeros(3)})
    assert other.take({"weight": torch.ones(3)}, 1).step == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda file: flip(file, -3), "it is damaged, or of another training", id="a byte"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:-9]), "damaged", id="its end"),
        pytest.param(lambda file: file.write_bytes(b""), "cannot mmap an empty file", id="everything"),
        pytest.param(lambda file: file.with_suffix(".json").write_text("{"), "Expecting", id="its description"),
    ],
)
def test_a_damaged_snapshot_is_passed_over_with_a_warning_that_names_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any, said: str
) -> None:
    mine = memory(tmp_path)
    mine.take(tensors(3), 3)
    damage(mine.take(tensors(5), 5).file)
    with caplog.at_level(logging.WARNING):
        found = Memory(tmp_path, TRAINING).find()
    assert found is not None
    assert found.step == 3
    assert str(tmp_path / "slot-") in caplog.text
    assert said in caplog.text


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(bytes(data))


def test_a_copy_that_was_not_finished_counts_for_nothing(tmp_path: Path) -> None:
    mine = memory(tmp_path)
    mine.take(tensors(3), 3)
    with pytest.raises(RuntimeError, match="The size of tensor"):
        mine.take({**tensors(4), "weight": torch.zeros(7)}, 4)
    found = Memory(tmp_path, TRAINING).find()
    assert found is not None
    assert found.step == 3


def test_a_snapshot_of_another_training_is_not_found(tmp_path: Path) -> None:
    memory(tmp_path).take(tensors(3), 3)
    assert Memory(tmp_path, {"samples": 23}).find() is None
    assert Memory(tmp_path, {**TRAINING, "seed": 1}).find() is None
    assert Memory(tmp_path, {}).find() is None


def test_what_a_training_means_is_told_by_every_snapshot_that_has_a_description(tmp_path: Path) -> None:
    assert list(told_in_memory(tmp_path / "nowhere")) == []
    mine = memory(tmp_path)
    for step in (3, 5, 4):
        mine.take(tensors(step), step)
    assert dict(told_in_memory(tmp_path)) == {5: TRAINING, 4: TRAINING}, "one of three is spared for the storage"
    assert mine.newest is not None
    mine.newest.file.with_suffix(".json").write_text("{")
    assert dict(told_in_memory(tmp_path)) == {5: TRAINING}


# ---------------------------------------------------------------- when
def test_snapshots_take_a_hundredth_of_the_time_at_most() -> None:
    pace, now, spent = Pace(60, 0, 0), 0.0, 0.0
    while now < 1000:
        now += 0.1
        if pace.snapshot_due(now):
            pace = pace.took(now, now + 0.02)
            now, spent = now + 0.02, spent + 0.02
    assert 0.005 * now < spent <= 0.01 * now


@pytest.mark.parametrize(
    ("every", "since", "failed", "due"),
    [
        pytest.param(60, 59.9, False, False, id="soon"),
        pytest.param(60, 60.0, False, True, id="now"),
        pytest.param(60, 5.0, True, True, id="again, for the storage had refused"),
        pytest.param(60, 4.9, True, False, id="not at once"),
        pytest.param(0, 1e6, False, False, id="after epochs only"),
    ],
)
def test_when_a_checkpoint_is_due(every: float, since: float, failed: bool, due: bool) -> None:
    assert Pace(every, 0, 100).checkpoint_due(100 + since, failed=failed) is due


# ---------------------------------------------------------------- the storage
def test_a_snapshot_becomes_a_checkpoint_like_any_other(tmp_path: Path) -> None:
    writer = Writer(Checkpoints(tmp_path / "checkpoints", 3, TRAINING))
    snapshot = memory(tmp_path / "memory").take(tensors(3), 3)
    writer.write(snapshot)
    writer.wait()
    assert writer.finished() == [Written(3, tmp_path / "checkpoints" / "step-00000003")]
    assert equal(saved(tmp_path, 3), tensors(3))


def test_a_storage_that_refuses_is_tried_again_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = tmp_path / "storage"
    storage.touch()
    writer = Writer(Checkpoints(storage / "checkpoints", 3, TRAINING))
    snapshot = memory(tmp_path / "memory").take(tensors(3), 3)
    writer.write(snapshot)
    writer.wait()
    assert (writer.failed, writer.finished()) == (True, [])
    assert f"no checkpoint of step 3, will try again: cannot write {storage}/checkpoints/step-00000003" in caplog.text
    storage.unlink()
    writer.write(snapshot)
    writer.wait()
    assert (writer.failed, [each.step for each in writer.finished()]) == (False, [3])


# ---------------------------------------------------------------- a training
class OnePerPod(ThreadCommunicator):
    """A rank that is alone in its pod."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.local_rank = 0


class Killed(BaseException):
    """The rank is gone."""


@pytest.fixture
def job(tmp_path: Path) -> DLTrainJob:
    """Two epochs of six steps; the ranks' running statistics differ within an epoch."""
    return pipeline_job(npz(tmp_path / "data.npz", 22, side=9), model=RESNET, epochs=2, globalBatchSize=4, every=3600)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots after every step, whatever they cost."""
    monkeypatch.setattr(Pace, "snapshot_due", lambda _self, _now: True)


def run_until(
    job: DLTrainJob, output: Path, rank: ThreadCommunicator, memories: Path, attempt: int = 1
) -> dict[str, Tensor]:
    pod = OnePerPod(rank.rank, rank.meeting)
    own = output if rank.rank == 0 else output.with_name("no-storage")
    return dict(trained(job, own, pod, attempt, memories / str(rank.rank)).artifact.model.state_dict())


def kill_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    after_step = Keeper.after_step

    def once(self: Keeper, state: TrainingState) -> None:
        after_step(self, state)
        if state.step == step:
            raise Killed

    monkeypatch.setattr(Keeper, "after_step", once)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("step", "kept", "lost"),
    [
        pytest.param(4, 3, None, id="every pod is there"),
        pytest.param(4, 3, 0, id="the first pod is lost"),
        pytest.param(11, 9, 1, id="another pod is lost"),
    ],
)
def test_a_training_killed_in_an_epoch_goes_on_from_any_pods_snapshot_to_the_same_bits(
    tmp_path: Path, job: DLTrainJob, monkeypatch: pytest.MonkeyPatch, *, step: int, kept: int, lost: int | None
) -> None:
    whole = on_ranks(2, lambda rank: run_until(job, tmp_path / "whole", rank, tmp_path / "memory-of-whole"))
    with monkeypatch.context() as patch:
        kill_after(patch, step)
        with pytest.raises(Killed):
            on_ranks(2, lambda rank: run_until(job, tmp_path / "out", rank, tmp_path / "memory"))
    assert not (tmp_path / "out" / "checkpoints").exists(), "nothing is on the storage"
    if lost is not None:
        shutil.rmtree(tmp_path / "memory" / str(lost))
    done: list[int] = []
    monkeypatch.setattr(keeper_module, "restore", noting(done))
    resumed = on_ranks(2, lambda rank: run_until(job, tmp_path / "out", rank, tmp_path / "memory", 2))
    assert done == [kept, kept], "a word takes a step to be sent, and one to be heard"
    assert all(equal(model, whole[0]) for model in resumed)
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")


def noting(done: list[int]) -> Any:
    """Restores, and notes the step."""

    def work(state: TrainingState, *rest: Any) -> str | None:
        where = restore(state, *rest)
        done.append(state.step)
        return where

    return work


@pytest.mark.usefixtures("always")
def test_a_rank_that_is_told_to_end_takes_all_others_along_with_a_checkpoint(
    tmp_path: Path, job: DLTrainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = on_ranks(2, lambda rank: run_until(job, tmp_path / "whole", rank, tmp_path / "memory-of-whole"))
    after_step = Keeper.after_step

    def told(self: Keeper, state: TrainingState) -> None:
        if state.step == 2 and self._communicator.rank == 1:
            self._on_sigterm(signal.SIGTERM, None)
        after_step(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "after_step", told)
        with pytest.raises(ToldToEndError, match="told to end after 4 steps"):
            on_ranks(2, lambda rank: run_until(job, tmp_path / "out", rank, tmp_path / "memory"))
    assert [each.name for each in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000004"]
    shutil.rmtree(tmp_path / "memory")
    resumed = on_ranks(2, lambda rank: run_until(job, tmp_path / "out", rank, tmp_path / "memory", 2))
    assert all(equal(model, whole[0]) for model in resumed)
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")


def test_a_rank_that_is_told_to_end_is_heard_where_an_epoch_is_a_single_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = npz(tmp_path / "data.npz", 22, side=9)
    job = pipeline_job(data, model=RESNET, epochs=9, globalBatchSize=22, every=3600)
    after_epoch = Keeper.after_epoch

    def told(self: Keeper, state: TrainingState) -> None:
        if state.step == 2 and self._communicator.rank == 1:
            self._on_sigterm(signal.SIGTERM, None)
        after_epoch(self, state)

    monkeypatch.setattr(Keeper, "after_epoch", told)
    with pytest.raises(ToldToEndError, match="told to end after 3 steps"):
        on_ranks(2, lambda rank: run_until(job, tmp_path / "out", rank, tmp_path / "memory"))
    assert [each.name for each in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000003"]


def test_without_a_checkpoint_due_only_the_end_is_on_the_storage(tmp_path: Path, job: DLTrainJob) -> None:
    trained(job, tmp_path / "out")
    assert [each.name for each in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000012"]
    manifest = json.loads((tmp_path / "out" / "checkpoints" / "step-00000012" / "manifest.json").read_text())
    assert sorted(manifest["files"]) == ["state.json", "state.safetensors"]


def test_sigterm_is_handled_by_the_main_thread_only(tmp_path: Path) -> None:
    keeper = Keeper(ThreadCommunicator(0, Meeting(1)), Checkpoints(tmp_path, 1, {}), tmp_path, every=60)
    before = signal.getsignal(signal.SIGTERM)

    def watch() -> None:
        with keeper.watching():
            assert signal.getsignal(signal.SIGTERM) is before

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    with keeper.watching():
        assert signal.getsignal(signal.SIGTERM) == keeper._on_sigterm
    assert signal.getsignal(signal.SIGTERM) is before
