"""What is stored at the end of a training: the state when it is told to end, and the last step, whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from dltrain_trainer.checkpoint.folder import verified
from dltrain_trainer.checkpoint.memory import Memory, Snapshot
from dltrain_trainer.errors import ToldToEndError
from dltrain_trainer.training import loop
from dltrain_trainer.training.step import Outcome, Samples, train_step
from tests.trainer.builders import json_lines, npz, pipeline_job, trained

MLP = {"name": "mlp", "mlp": {"widths": [32, 32]}}


def told_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process told to end while it takes a step, counted from 0."""

    def take(learner: Any, samples: Samples, rate: float, done: int) -> Outcome:
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(learner, samples, rate, done)

    monkeypatch.setattr(loop, "train_step", take)


def ended(folder: Path, compression: str) -> list[str]:
    """What a training of six epochs of three steps has stored that was told to end."""
    file = npz(folder / "data.npz", 24)
    job = pipeline_job(file, model=MLP, epochs=6, every=1000, communication={"compression": compression})
    with pytest.raises(ToldToEndError):
        trained(job, folder)
    return sorted(one.name for one in (folder / "checkpoints").iterdir())


def test_a_training_that_is_told_to_end_within_an_epoch_stores_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_at(14, monkeypatch)
    assert ended(tmp_path, "none") == ["step-00000017"]


def test_at_the_end_of_an_epoch_a_state_that_ranks_differ_in_is_stored_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_at(13, monkeypatch)
    assert ended(tmp_path, "powerSgd") == ["step-00000015"]


def test_within_an_epoch_the_newest_snapshot_is_stored_where_ranks_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_at(14, monkeypatch)
    taken: list[int] = []
    take = Memory.take

    def noted(self: Memory, tensors: Mapping[str, Tensor], step: int, busy: Path | None = None) -> Snapshot:
        taken.append(step)
        return take(self, tensors, step, busy)

    monkeypatch.setattr(Memory, "take", noted)
    assert ended(tmp_path, "powerSgd") == [f"step-{taken[-1]:08}"]
    assert {step % 3 for step in taken} == {0}, "of ends of epochs"


def test_a_damaged_checkpoint_of_the_last_step_is_written_anew(tmp_path: Path) -> None:
    file = npz(tmp_path / "data.npz", 24)
    trained(pipeline_job(file, epochs=3), tmp_path)
    last = tmp_path / "checkpoints" / "step-00000009"
    state = last / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-5] ^= 1
    state.write_bytes(content)
    trained(pipeline_job(file, epochs=3, every=60), tmp_path, attempt=2)
    verified(last)


def test_epochs_are_on_record_before_the_snapshot_that_says_they_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[tuple[int, int]] = []
    take = Memory.take

    def look(self: Memory, tensors: Mapping[str, Tensor], step: int, busy: Path | None = None) -> Snapshot:
        recorded.append((step, len(json_lines(tmp_path / "epochs.jsonl"))))
        return take(self, tensors, step, busy)

    monkeypatch.setattr(Memory, "take", look)
    trained(pipeline_job(npz(tmp_path / "data.npz", 24), epochs=3), tmp_path)
    assert recorded == [(3, 1), (6, 2), (9, 3)]
