"""Training inside the compression stage: a compressed model as the job trains, or a student after a teacher."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from torch import nn

from dltrain.api.compress import TEACHER_WEIGHT, TEMPERATURE, Compress, Distill
from dltrain.api.storage import S3_SCHEME
from dltrain.api.train import Train
from dltrain_trainer.compression.distillation import Taught
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.data.cache import cache_folder
from dltrain_trainer.data.load import local_copy
from dltrain_trainer.distributed.batch_norm import restore_batch_norms
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.export.artifact import Artifact, load
from dltrain_trainer.export.stored import model_from_bucket
from dltrain_trainer.run import Run
from dltrain_trainer.stages.train import feed_of, loss_of, sampler_of, waits_of
from dltrain_trainer.training.allocator import freed_memory_is_kept
from dltrain_trainer.training.learner import forward_context, make_learner
from dltrain_trainer.training.loop import fit
from dltrain_trainer.training.losses import Loss
from dltrain_trainer.training.observer import TrainingObserver
from dltrain_trainer.training.state import TrainingState

STAGE = "compress"
ROUNDING: Final = 1e-6
"""By how much of a number the statistics of other ranks may differ."""


def shortened(train: Train, epochs: int, rate: float) -> Train:
    """A job's training settings for some epochs more.

    The schedule runs its whole course again, from a lower peak: that regains more than the last, lowest rates do
    (Renda et al. 2020, "Comparing Rewinding and Fine-tuning in Neural Network Pruning").

    Args:
        train: the job's settings.
        epochs: how many.
        rate: the peak of the learning rate, as a share of the job's.
    """
    schedule = train.schedule.model_copy(
        update={
            "warmup_epochs": min(train.schedule.warmup_epochs, 0.0 if rate < 1 else epochs / 10),
            "milestones": train.schedule.milestones
            and tuple(place * epochs / train.epochs for place in train.schedule.milestones),
        }
    )
    optimizer = train.optimizer.model_copy(update={"lr": train.optimizer.rate * rate})
    changes = {
        "epochs": epochs,
        "schedule": schedule,
        "optimizer": optimizer,
        "early_stopping": None,
        "progressive_resizing": None,  # what is trained again knows whole images already
    }
    return train.model_copy(update=changes)


def retrain(run: Run, model: nn.Module, train: Train, loss: Loss) -> None:
    """Train a model in place, on all ranks.

    Args:
        run: its data and ranks are used.
        model: the same architecture on every rank.
        train: how.
        loss: of a batch; one that asks a teacher is told of every batch.
    """
    again = copy.copy(run)
    again.pipeline = run.pipeline.model_copy(update={"train": train})
    learner = make_learner(model, train, loss, run.communicator, run.precision)
    if isinstance(loss, Taught):
        learner = replace(learner, forward=loss.watched(learner.forward))
    state, sampler = TrainingState(learner), sampler_of(again)
    state.synchronize(run.communicator)
    observer = TrainingObserver(train, train.epochs * sampler.steps_per_epoch, run.progress, None, stage=STAGE)

    def after_epoch(state: TrainingState, epoch: int) -> None:
        done = observer.steps_end(epoch)
        state.synchronize_buffers(run.communicator)
        observer.epoch_ends(state.step, done, {})

    with freed_memory_is_kept(run.device), feed_of(again, sampler, 0) as feed:
        observer.waits = lambda: waits_of(feed, learner)
        fit(state, feed, sampler.steps_per_epoch, observer, after_epoch=after_epoch)
    state.give_result()
    learner.gradients.close()
    restore_batch_norms(model)
    model.eval()


def fine_tuner(run: Run, settings: Compress) -> Callable[[nn.Module, int], None]:
    """What trains a compressed model for some epochs, after the trained one where the job says so.

    Args:
        run: the job's.
        settings: the job's.
    """

    def tune(model: nn.Module, epochs: int) -> None:
        train = shortened(run.pipeline.train, epochs, settings.fine_tune_rate)
        alone, trained = not settings.fine_tune_teacher, run.artifact.model
        retrain(run, model, train, loss_of(run) if alone else taught_by(run, trained, TEMPERATURE, TEACHER_WEIGHT))

    return tune


def teach(run: Run, student: nn.Module, spec: Distill) -> None:
    """Train a student after a teacher: the one that the step names, or the model that the job has trained.

    Args:
        run: the job's.
        student: changed in place.
        spec: the step.

    Raises:
        CompressionError: on every rank: the teacher that the step names cannot be had on one of them, or is not for
            these samples.
    """
    teacher = run.artifact.model if spec.teacher is None else agreed(run, spec.teacher).model.to(run.device)
    taught = taught_by(run, teacher, spec.temperature, spec.weight)
    retrain(run, student, shortened(run.pipeline.train, spec.epochs, 1.0), taught)


def taught_by(run: Run, teacher: nn.Module, temperature: float, weight: float) -> Taught:
    """The job's loss beside a teacher's answers, which are computed in the job's precision."""
    cast = forward_context(teacher, run.precision)
    return Taught(teacher, temperature, weight, run.data.dataset.task, loss_of(run), cast)


def agreed(run: Run, address: str) -> Artifact:
    """A teacher from its address, which every rank has fetched.

    Raises:
        CompressionError: on every rank: one of them could not.
    """
    artifact, reason = None, None
    try:
        artifact = fetched(run, address)
    except CompressionError as error:
        reason = str(error)
    reasons = [each for each in run.communicator.team.gather(reason) if each is not None]
    if artifact is None or reasons:
        raise CompressionError(reasons[0])
    return artifact


def fetched(run: Run, address: str) -> Artifact:
    """A teacher from its address.

    Raises:
        CompressionError: it cannot be had, or sees or answers otherwise than the job's models.
    """
    try:
        artifact = load(teacher_files(run, address))
    except TrainerError as error:
        raise CompressionError(f"the teacher cannot be had: {error}") from error
    if artifact.blueprint.outputs != run.data.dataset.outputs:
        outputs = artifact.blueprint.outputs
        raise CompressionError(f"the teacher has {outputs} outputs, the data {run.data.dataset.outputs}")
    if not alike(artifact.preprocessing.to_dict(), run.data.preprocessing.to_dict()):
        raise CompressionError("the teacher was trained on samples that were prepared otherwise; use the same data")
    return artifact


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal but for the rounding of numbers: sums over other numbers of ranks differ so."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def teacher_files(run: Run, address: str) -> Path:
    """The folder of an exported model on this machine; fetched if need be.

    Raises:
        TrainerError: it cannot be had.
    """
    if address.startswith(S3_SCHEME):
        return model_from_bucket(address)
    return local_copy(address, cache_folder() / "teachers", run.progress.say)
