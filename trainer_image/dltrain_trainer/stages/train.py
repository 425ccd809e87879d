"""The training stage: a model from its last checkpoint, or anew, to the last epoch."""

from __future__ import annotations

import time
from typing import Any

from dltrain_trainer.checkpoint import Checkpoints
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.distributed.buckets import GradientBuckets
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.export import Artifact
from dltrain_trainer.models import Architecture, build_model
from dltrain_trainer.run import Run
from dltrain_trainer.training.batches import RankBatches
from dltrain_trainer.training.loop import fit
from dltrain_trainer.training.metrics_log import MetricsLog
from dltrain_trainer.training.observer import TrainingObserver
from dltrain_trainer.training.optimizer import make_optimizer
from dltrain_trainer.training.state import TrainingState

METRICS_FILE = "metrics.jsonl"


def run(run: Run) -> None:
    """Train."""
    train, dataset = run.pipeline.train, run.dataset
    run.artifact = new_artifact(run)
    model = run.artifact.model
    state = TrainingState(model, make_optimizer(model, train))
    checkpoints = Checkpoints(run.output / "checkpoints", run.checkpoint.keep, what_a_step_means(run))
    resume(run, state, checkpoints)

    def save(state: TrainingState) -> None:
        state.synchronize_buffers(run.communicator)
        if run.is_first:
            run.progress.checkpoint(state.step, checkpoints.save(state))

    sampler = Sampler(len(dataset.train), train.global_batch_size, train.seed)
    rank, size = run.communicator.rank, run.communicator.size
    batches = RankBatches(dataset.train, run.preprocessing, sampler, rank, size, run.device)
    buckets = GradientBuckets(model.parameters(), run.communicator)
    log = MetricsLog(run.output / METRICS_FILE, state.step, run.attempt) if run.is_first else None
    observer = TrainingObserver(train, train.epochs * sampler.steps_per_epoch, run.progress, log)
    start = time.monotonic()
    fit(state, train, batches, buckets, observer, save=save)
    run.train_seconds = time.monotonic() - start
    if log is not None:
        log.close()


def new_artifact(run: Run) -> Artifact:
    """The model with its first weights.

    Raises:
        TrainerError: the samples do not fit the model.
    """
    architecture = Architecture(run.pipeline.model.name, run.dataset.shape, run.dataset.classes)
    try:
        model = build_model(architecture, run.pipeline.train.seed).to(run.device)
    except ValueError as error:
        raise TrainerError(f"spec.pipeline.model.name: {error}; choose another model") from error
    return Artifact(architecture, run.preprocessing, model)


def what_a_step_means(run: Run) -> dict[str, Any]:
    """What must not change between a checkpoint and the training that goes on from it, as plain JSON values."""
    train = run.pipeline.train
    return {
        "architecture": run.artifact.architecture.to_dict(),
        "preprocessing": run.preprocessing.to_dict(),
        "samples": len(run.dataset.train),
        **{f"train.{name}": value for name, value in train.model_dump(mode="json", by_alias=True).items()},
    }


def resume(run: Run, state: TrainingState, checkpoints: Checkpoints) -> None:
    """Go on from the newest checkpoint that rank 0 can verify; every rank then has its state."""
    if run.is_first and (found := checkpoints.load_newest(state)):
        run.progress.say(f"resumed from {found.name}: {state.step} steps are done")
    state.synchronize(run.communicator)
