"""Checkpoints: whole or absent, verified, kept as long as they are needed, whatever dies meanwhile."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import signal
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dltrain_trainer.checkpoint import Checkpoints
from dltrain_trainer.checkpoint.folder import told_on_storage
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.files import write_atomically
from dltrain_trainer.training.state import TrainingState
from tests.trainer.builders import blueprint_of, no_file_larger_than, state_of

TRAINING = {"samples": 22, "train.seed": 3}


def state(step: int = 0, *, model: nn.Module | None = None) -> TrainingState:
    """A state whose every number is its step."""
    known = model or nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    made = state_of(known, step)
    with torch.no_grad():
        for tensor in made.tensors().values():
            tensor.fill_(step)
    return made


def checkpoints(folder: Path, keep: int = 3, **training: Any) -> Checkpoints:
    return Checkpoints(folder, keep, {**TRAINING, **training})


def kept(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def loaded(folder: Path) -> int:
    """The step that is gone on from; 0 if there is none.  Every number of the state must be of that step."""
    found = state()
    path = checkpoints(folder).load_newest(found)
    assert path is None or int(path.name.removeprefix("step-")) == found.step
    assert all(bool((tensor == found.step).all()) for tensor in found.tensors().values())
    return found.step


def same_tensors(one: TrainingState, other: TrainingState) -> bool:
    return all(torch.equal(tensor, other.tensors()[name]) for name, tensor in one.tensors().items())


# ---------------------------------------------------------------- saving and loading
@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_a_state_is_read_back_to_the_bit(tmp_path: Path, name: str) -> None:
    saved = state_of(blueprint_of(name).build(1), 7)
    for momentum in saved.learner.optimizer.tensors().values():
        momentum.normal_()
    checkpoints(tmp_path).save(saved)
    found = state_of(blueprint_of(name).build(2))
    assert checkpoints(tmp_path).load_newest(found) == tmp_path / "step-00000007"
    assert found.step == 7
    assert same_tensors(found, saved)


def test_the_files_of_a_checkpoint_say_what_they_are(tmp_path: Path) -> None:
    folder = checkpoints(tmp_path).save(state(7))
    assert kept(folder) == ["manifest.json", "state.json", "state.safetensors"]
    assert json.loads((folder / "state.json").read_text()) == {"step": 7, "training": TRAINING}


def test_without_a_checkpoint_nothing_is_loaded(tmp_path: Path) -> None:
    assert loaded(tmp_path / "nowhere") == 0
    assert loaded(tmp_path) == 0


@pytest.mark.parametrize(("keep", "steps"), [(1, [40]), (2, [30, 40]), (9, [10, 20, 30, 40])])
def test_only_the_newest_are_kept(tmp_path: Path, keep: int, steps: list[int]) -> None:
    for step in (10, 20, 30, 40):
        checkpoints(tmp_path, keep).save(state(step))
    assert kept(tmp_path) == [f"step-{step:08}" for step in steps]
    assert loaded(tmp_path) == 40


def test_the_newest_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    for step in (99_999_999, 100_000_000):  # their names sort the other way round
        checkpoints(tmp_path).save(state(step))
    assert loaded(tmp_path) == 100_000_000


def test_what_others_put_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "step-before-the-deadline").mkdir()
    for step in (10, 20):
        checkpoints(tmp_path, keep=1).save(state(step))
    assert kept(tmp_path) == ["step-00000020", "step-before-the-deadline"]
    assert loaded(tmp_path) == 20


# ---------------------------------------------------------------- damage
def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["manifest.json", "state.json", "state.safetensors"])
@pytest.mark.parametrize("damage", [truncated, emptied, changed, Path.unlink])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning_that_names_it(
    tmp_path: Path, name: str, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (10, 20):
        checkpoints(tmp_path).save(state(step))
    damage(tmp_path / "step-00000020" / name)
    assert loaded(tmp_path) == 10
    (warning,) = caplog.records
    assert (warning.levelno, warning.name) == (logging.WARNING, "dltrain_trainer.checkpoint.folder")
    assert warning.getMessage().startswith(f"passed over checkpoint {tmp_path / 'step-00000020'}: ")


@pytest.mark.parametrize(
    "manifest", ["[]", "7", "null", '{"files": {}}', '{"files": {"state.safetensors": 1, "state.json": 2}}', '"x']
)
def test_a_manifest_with_another_content_is_damage_too(tmp_path: Path, manifest: str) -> None:
    for step in (10, 20):
        checkpoints(tmp_path).save(state(step))
    (tmp_path / "step-00000020" / "manifest.json").write_text(manifest)
    assert loaded(tmp_path) == 10


def test_when_all_are_damaged_training_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (10, 20):
        truncated(checkpoints(tmp_path).save(state(step)) / "state.safetensors")
    assert loaded(tmp_path) == 0
    assert len(caplog.records) == 2


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_do_not_displace_those_that_are_written_after_them(tmp_path: Path, keep: int) -> None:
    for step in (40, 50):
        truncated(checkpoints(tmp_path, keep=2).save(state(step)) / "state.safetensors")
    for step in (10, 20, 30):
        checkpoints(tmp_path, keep).save(state(step))
        assert loaded(tmp_path) == step


def test_a_damaged_checkpoint_is_replaced_once_its_step_is_reached_again(tmp_path: Path) -> None:
    truncated(checkpoints(tmp_path).save(state(20)) / "state.json")
    checkpoints(tmp_path).save(state(20))
    assert loaded(tmp_path) == 20


@pytest.mark.parametrize(
    ("name", "damage"),
    [("state.json", changed), *product(["manifest.json", "state.json"], [truncated, emptied, Path.unlink])],
)
def test_what_a_training_means_is_told_by_the_newest_checkpoint_whose_description_is_whole(
    tmp_path: Path, name: str, damage: Any
) -> None:
    assert list(told_on_storage(tmp_path)) == []
    for step in (10, 20):
        checkpoints(tmp_path).save(state(step))
    (tmp_path / "step-00000020" / "state.safetensors").unlink()
    assert list(told_on_storage(tmp_path)) == [(20, TRAINING)], "its tensors are not looked at"
    damage(tmp_path / "step-00000020" / name)
    assert list(told_on_storage(tmp_path)) == [(10, TRAINING)]


# ---------------------------------------------------------------- another training's
def test_a_checkpoint_of_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    folder = checkpoints(tmp_path).save(state(10))
    with pytest.raises(CheckpointError) as caught:
        checkpoints(tmp_path, **{"train.seed": 4, "train.epochs": 9}).load_newest(state())
    assert str(caught.value) == (
        f"{folder}: is of another training: train.seed was 3 and is 4, train.epochs was None and is 9; "
        "use another output folder, or delete it"
    )


def test_a_setting_that_is_gone_is_another_training_too(tmp_path: Path) -> None:
    window: dict[str, Any] = {"data.window": {"length": 3}}
    folder = checkpoints(tmp_path, **window).save(state(10))
    with pytest.raises(CheckpointError) as caught:
        checkpoints(tmp_path).load_newest(state())
    assert str(caught.value) == (
        f"{folder}: is of another training: data.window was {{'length': 3}} and is None; "
        "use another output folder, or delete it"
    )


def test_values_that_are_long_are_shown_by_a_short_name(tmp_path: Path) -> None:
    checkpoints(tmp_path, preprocessing=list(range(100))).save(state(10))
    with pytest.raises(CheckpointError) as caught:
        checkpoints(tmp_path, preprocessing=list(range(101))).load_newest(state())
    assert re.search(": preprocessing was [0-9a-f]{16} and is [0-9a-f]{16}; use", str(caught.value))


def test_pictures_that_another_cpu_has_rounded_otherwise_are_the_same_training(tmp_path: Path) -> None:
    checkpoints(tmp_path, inputs={"looks": [120.0, 7.5]}).save(state(10))
    found = state()
    assert checkpoints(tmp_path, inputs={"looks": [120.03, 7.5]}).load_newest(found) == tmp_path / "step-00000010"
    assert found.step == 10
    with pytest.raises(CheckpointError, match="is of another training: inputs was "):
        checkpoints(tmp_path, inputs={"looks": [121.0, 7.5]}).load_newest(state())


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path: Path) -> None:
    folder = checkpoints(tmp_path).save(state(10))
    mine = state(model=nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)))
    with pytest.raises(CheckpointError) as caught:
        checkpoints(tmp_path).load_newest(mine)
    assert str(caught.value) == (
        f"{folder}: is of another model: model.0.bias, model.0.weight, model.1.bias differ; "
        "use another output folder, or delete it"
    )
    assert not any(bool(tensor.any()) for tensor in mine.tensors().values())


def test_a_storage_that_takes_no_more_is_said_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    large = nn.Sequential(nn.Linear(1000, 1000))
    checkpoints(tmp_path, keep=1).save(state(10, model=large))
    newer = state(20, model=large)
    with no_file_larger_than(1_000_000), pytest.raises(CheckpointError) as caught:
        checkpoints(tmp_path, keep=1).save(newer)
    file = tmp_path / ".writing-step-00000020" / "state.safetensors"
    remedy = f"check that the storage has space left and is writable for user {os.geteuid()}"
    assert str(caught.value) == f"cannot write {file}: File too large; {remedy}"
    found = state(model=large)
    assert checkpoints(tmp_path).load_newest(found) == tmp_path / "step-00000010"
    assert kept(tmp_path) == ["step-00000010"], "nothing of the failed attempt is left"
    checkpoints(tmp_path, keep=1).save(newer)
    assert kept(tmp_path) == ["step-00000020"]


def test_what_a_killed_rank_has_left_makes_room_before_the_next_checkpoint_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20):
        (tmp_path / f".writing-step-{step:08}").mkdir()
    found: list[list[str]] = []

    def noted(path: Path, data: bytes) -> None:
        found.append(kept(tmp_path))
        write_atomically(path, data)

    monkeypatch.setattr("dltrain_trainer.checkpoint.folder.write_atomically", noted)
    checkpoints(tmp_path).save(state(30))
    assert (found, kept(tmp_path)) == (3 * [[".writing-step-00000030"]], ["step-00000030"])


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"^cannot write .*/file/step-00000010: Not a directory; check that"):
        checkpoints(tmp_path / "file").save(state(10))


STORAGE_CALLS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "shutil.rmtree"}
"""What Python announces to its audit hooks before it touches the storage."""


def die_at(call: int, folder: Path) -> None:
    """In a process of its own: save step 20, but be killed at one of the calls that touch the storage."""
    left = call

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event in STORAGE_CALLS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    newer = state(20)
    sys.addaudithook(hook)
    checkpoints(folder, keep=1).save(newer)
    os._exit(0)


def test_a_rank_killed_anywhere_in_a_checkpoint_leaves_one_that_is_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    calls, steps = 0, set()
    while True:
        folder = tmp_path / str(calls)
        checkpoints(folder, keep=1).save(state(10))
        process = context.Process(target=die_at, args=(calls, folder))
        process.start()
        process.join(60)
        steps.add(loaded(folder))
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        checkpoints(folder, keep=1).save(state(30))
        assert kept(folder) == ["step-00000030"], "nothing of the killed attempt is left"
        calls += 1
    assert calls > 15
    assert steps == {10, 20}
