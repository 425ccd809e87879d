"""Going on from a checkpoint: the same bits as without an interruption."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dltrain.api.job import DLTrainJob
from dltrain.api.train import Train
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.progress import Progress
from dltrain_trainer.stages import data, train
from dltrain_trainer.training.loop import fit
from dltrain_trainer.training.observer import StepDone, TrainingObserver
from tests.trainer.builders import (
    SILENT,
    equal,
    four_epochs,
    json_lines,
    new_run,
    npz,
    pipeline_job,
    saved,
    trained,
    without_attempt,
)
from tests.trainer.group import on_ranks

STEPS = 3
"""Of an epoch."""


@pytest.fixture
def job(tmp_path: Path) -> DLTrainJob:
    return four_epochs(tmp_path)


def resume_from(step: int, whole: Path, output: Path) -> None:
    """Leave what a training of which this is the newest checkpoint has left, killed some steps later."""
    for folder in whole.glob("checkpoints/step-*"):
        if int(folder.name.removeprefix("step-")) <= step:
            shutil.copytree(folder, output / "checkpoints" / folder.name)
    shutil.copy(whole / "metrics.jsonl", output)


def test_training_resumed_from_any_epoch_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, job: DLTrainJob
) -> None:
    trained(job, tmp_path / "whole")
    for epoch in range(5):
        output = tmp_path / f"from-{epoch}"
        output.mkdir()
        resume_from(epoch * STEPS, tmp_path / "whole", output)
        trained(job, output)
        for step in range((epoch + 1) * STEPS, 13, STEPS):
            assert equal(saved(output, step), saved(tmp_path / "whole", step))
        assert (output / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("step", [1, 5, 9, 11])
def test_a_training_interrupted_in_the_middle_of_an_epoch_goes_on_with_the_next_batch(
    tmp_path: Path, job: DLTrainJob, step: int
) -> None:
    whole = trained(job, tmp_path / "whole").artifact.model.state_dict()
    run = new_run(job, tmp_path)
    data.run(run)
    run.artifact = train.new_artifact(run)
    mine, sampler = train.new_state(run), train.sampler_of(run)
    for last in (step, 0):
        observer = Interruption(run.pipeline.train, last)
        with contextlib.suppress(KeyboardInterrupt), train.feed_of(run, sampler, mine.step) as feed:
            fit(mine, feed, STEPS, observer, after_epoch=lambda _state, _epoch: None)
        assert mine.step == (last or 12)
    assert equal(dict(run.artifact.model.state_dict()), dict(whole))


class Interruption(TrainingObserver):
    """Ends a training in the middle."""

    def __init__(self, settings: Train, last: int) -> None:
        super().__init__(settings, 12, Progress(SILENT, 0), None)
        self.last = last

    def step_done(self, done: StepDone) -> None:
        if done.step == self.last:
            raise KeyboardInterrupt


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_every_model_resumes_to_the_bit(tmp_path: Path, model: str) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", 8, side=9), model=model, epochs=2, globalBatchSize=4)
    trained(job, tmp_path / "whole")
    (tmp_path / "resumed").mkdir()
    resume_from(2, tmp_path / "whole", tmp_path / "resumed")
    trained(job, tmp_path / "resumed")
    assert equal(saved(tmp_path / "resumed", 4), saved(tmp_path / "whole", 4))


def test_ranks_without_the_checkpoint_get_the_state_of_the_first(tmp_path: Path, job: DLTrainJob) -> None:
    on_ranks(2, lambda rank: trained(job, tmp_path / "whole", rank))
    (tmp_path / "resumed").mkdir()
    resume_from(6, tmp_path / "whole", tmp_path / "resumed")

    def resumed(rank: Any) -> dict[str, Tensor]:
        own = tmp_path / "resumed" if rank.rank == 0 else tmp_path / "no-storage"
        return dict(trained(job, own, rank).artifact.model.state_dict())

    models = on_ranks(2, resumed)
    assert equal(*models)
    assert equal(saved(tmp_path / "resumed", 12), saved(tmp_path / "whole", 12))


def test_the_log_says_which_attempt_did_a_step(tmp_path: Path, job: DLTrainJob) -> None:
    trained(job, tmp_path / "whole")
    (tmp_path / "resumed").mkdir()
    resume_from(6, tmp_path / "whole", tmp_path / "resumed")
    trained(job, tmp_path / "resumed", attempt=2)
    whole, resumed = (tmp_path / name / "metrics.jsonl" for name in ("whole", "resumed"))
    assert [line["attempt"] for line in json_lines(resumed)] == [1] * 6 + [2] * 6
    assert without_attempt(resumed) == without_attempt(whole)


def test_a_finished_training_is_not_trained_again(
    tmp_path: Path, job: DLTrainJob, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(job, tmp_path)
    before = saved(tmp_path, 12)
    capsys.readouterr()
    model = trained(job, tmp_path).artifact.model.state_dict()
    assert capsys.readouterr().out == "resumed from a checkpoint: 12 steps are done\n"
    assert all(torch.equal(tensor, before[f"model.{name}"]) for name, tensor in model.items())


def test_another_training_in_the_same_folder_is_refused_and_changes_nothing(tmp_path: Path, job: DLTrainJob) -> None:
    trained(job, tmp_path)
    log = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError) as caught:
        trained(pipeline_job(tmp_path / "data.npz", epochs=4, seed=8), tmp_path)
    differ = "train.schedule was .* and is .*, train.regularization was .* and is .*, train.seed was 3 and is 8"
    assert re.fullmatch(f".*/step-00000012: is of another training: {differ}; use another .*", str(caught.value))
    assert (tmp_path / "metrics.jsonl").read_bytes() == log
