"""The training stage: a model from its last checkpoint, or anew, to the last epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace

from torch import nn

from dltrain.api.evaluate import NOT_NUMBERS, MetricName, wanted_metrics
from dltrain.api.report import MAX_RANKS
from dltrain.api.train import ProgressiveResizing
from dltrain.pulse import WAITS
from dltrain_trainer.checkpoint import Checkpoints, Keeper, memory_folder
from dltrain_trainer.checkpoint.writer import Written
from dltrain_trainer.data.feed import Feed
from dltrain_trainer.data.maker import BatchMaker, Ready
from dltrain_trainer.data.readers.rows import row_format
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.distributed.batch_norm import restore_batch_norms
from dltrain_trainer.export import Artifact
from dltrain_trainer.models import Blueprint, ModelError
from dltrain_trainer.models.shapes import image_shape
from dltrain_trainer.models.trial import output_of
from dltrain_trainer.report.data import Epoch
from dltrain_trainer.run import Run
from dltrain_trainer.stages.meaning import what_a_step_means
from dltrain_trainer.training.allocator import freed_memory_is_kept
from dltrain_trainer.training.empty_shares import check_empty_shares
from dltrain_trainer.training.learner import Learner, make_learner
from dltrain_trainer.training.lone_samples import check_lone_samples
from dltrain_trainer.training.loop import fit
from dltrain_trainer.training.losses import Loss, class_weights, make_loss
from dltrain_trainer.training.observer import TrainingObserver, Waits
from dltrain_trainer.training.precision import choose_precision, has_native_bf16
from dltrain_trainer.training.records import Records
from dltrain_trainer.training.resizing import sizes_of, whole_from
from dltrain_trainer.training.state import Patience, TrainingState
from dltrain_trainer.training.stragglers import stragglers_among
from dltrain_trainer.training.usage import usage_of
from dltrain_trainer.training.validation import Validation, validation_settings


def run(run: Run) -> None:
    """Train.

    Raises:
        TrainerError: the samples do not fit the model, or it has diverged.
    """
    run.artifact = new_artifact(run)
    state = new_state(run)
    checkpoints = Checkpoints(run.output / "checkpoints", run.checkpoint.keep, what_a_step_means(run))
    with memory_folder(run.snapshots) as memory, freed_memory_is_kept(run.device):
        keeper = Keeper(run.communicator, checkpoints, memory, every=run.checkpoint.every_seconds, stored=told(run))
        resume(run, state, keeper)
        check_shares(run, state)
        start = time.monotonic()
        train_on(run, state, keeper)
        run.train_seconds = time.monotonic() - start
    state.give_result()
    restore_batch_norms(run.artifact.model)


def check_shares(run: Run, state: TrainingState) -> None:
    """See that the model takes the shares of the steps to come, if there are any.

    Each attempt looks anew, for another number of ranks divides the batches otherwise.

    Raises:
        ModelError: it does not.
    """
    model, train = state.learner.model, state.learner.train
    sampler, ranks = sampler_of(run), run.communicator.size
    if not state.is_over and state.step < train.epochs * sampler.steps_per_epoch:
        check_empty_shares(model, train, run.data.ready.shape, sampler, ranks)
        check_lone_samples(model, run.artifact.blueprint, train, sampler, ranks)


def new_artifact(run: Run) -> Artifact:
    """The model with its first weights.

    Raises:
        ModelError: the samples do not fit the model.
    """
    pipeline, dataset = run.pipeline, run.data.dataset
    layout = run.data.ready.shape
    blueprint = Blueprint(pipeline.model, layout, dataset.outputs, channels_last=pipeline.train.channels_last)
    try:
        model = blueprint.build(pipeline.train.seed)
    except ModelError as error:
        raise ModelError(f"spec.pipeline.model: {error}") from error
    if pipeline.train.progressive_resizing:
        try_small_images(model, blueprint, pipeline.train.progressive_resizing)
    rows = row_format(pipeline.data, dataset.features)
    return Artifact(blueprint, run.data.preprocessing, model.to(run.device), dataset.task, dataset.classes, rows=rows)


def try_small_images(model: nn.Module, blueprint: Blueprint, resizing: ProgressiveResizing) -> None:
    """See that a model takes the images that a training begins with, where it begins with smaller ones.

    The zoo knows how small images may be; others' models are tried with every size.

    Args:
        model: on the CPU.
        blueprint: what it was built from.
        resizing: the job's.

    Raises:
        ModelError: it does not, or the samples are no images.
    """
    path, name = "spec.pipeline.train.progressiveResizing", blueprint.model.name
    try:
        channels, height, width = image_shape("it", blueprint.shape)
    except ModelError as error:
        raise ModelError(f"{path}: {error}; remove it") from error
    sizes = sizes_of(resizing, (height, width))
    try:
        if blueprint.model.family in {"timm", "user"}:
            for size in sizes:
                output_of(model, name, (channels, *size))
        elif sizes:  # there are none where an increment is a whole side
            replace(blueprint, shape=(channels, *sizes[0])).build()
    except ModelError as error:
        remedy = "raise initialScale or increment, choose a model that takes images of any size, or remove it"
        raise ModelError(f"{path}: {error}; {remedy}") from error


def new_state(run: Run) -> TrainingState:
    """The state before the first step."""
    train = run.pipeline.train
    run.precision = choose_precision(train.precision, has_native_bf16(run.device), run.communicator)
    learner = make_learner(run.artifact.model, train, loss_of(run), run.communicator, run.precision)
    first = whole_from(train.progressive_resizing, train.epochs * sampler_of(run).steps_per_epoch)
    return TrainingState(learner, Patience(train.early_stopping, learner, first) if train.early_stopping else None)


def loss_of(run: Run) -> Loss:
    """The job's loss."""
    train, dataset = run.pipeline.train, run.data.dataset
    if dataset.task != "classification":
        return make_loss(train)
    weights = class_weights(train, dataset.train.targets, dataset.outputs)
    return make_loss(train, None if weights is None else weights.to(run.device))


def told(run: Run) -> Callable[[Written], None]:
    """What tells of checkpoints that are complete."""
    return lambda written: run.progress.checkpoint(written.step, written.folder)


def resume(run: Run, state: TrainingState, keeper: Keeper) -> None:
    """Go on from the newest state that is kept anywhere; every rank then has it."""
    if (found := keeper.restore(state)) and run.is_first:
        run.progress.say(f"resumed from {found}: {state.step} steps are done")


def train_on(run: Run, state: TrainingState, keeper: Keeper) -> None:
    """Train to the end from wherever the state is.

    Raises:
        ToldToEndError: a rank was told to end; the state is kept.
    """
    train, sampler = run.pipeline.train, sampler_of(run)
    records = Records.open(run.output, state.step, run.attempt) if run.is_first else None
    observer = TrainingObserver(
        train, train.epochs * sampler.steps_per_epoch, run.progress, records, run.pulse, run.fail_on_nan
    )
    state.learner.gradients.on_wait = lambda: run.pulse.beat(WAITS)
    validation = validation_of(run)
    keeper.before_keeping, keeper.before_storing = observer.settle, observer.make_durable

    def after_epoch(state: TrainingState, epoch: int) -> None:
        done = observer.steps_end(epoch)
        look_at_ranks(run, done)
        state.synchronize_buffers(run.communicator)
        observer.epoch_ends(state.step, done, validation.run(state))
        keeper.after_epoch(state)

    with closing(records) if records else nullcontext(), keeper.watching(), feed_of(run, sampler, state.step) as feed:
        observer.waits = lambda: waits_of(feed, state.learner)
        fit(state, feed, sampler.steps_per_epoch, observer, after_epoch=after_epoch, after_step=keeper.after_step)
        if records:
            records.deliver()
        keeper.finish(state)
    if run.is_first and state.is_over and state.step < observer.steps:
        run.progress.say(f"ended early, after {state.step} steps: the validation split shows no more progress")


def look_at_ranks(run: Run, done: Epoch) -> None:
    """Tell what every rank has used in an epoch, and which have held the others up; every rank calls this."""
    assert done.time is not None, "it has just been timed"
    own = usage_of(run.communicator.rank, done.time.compute, run.device)
    ranks = run.communicator.team.gather(own)
    run.progress.ranks = tuple(ranks[:MAX_RANKS])
    found = stragglers_among([each.compute_seconds for each in ranks])
    run.progress.stragglers = found
    for one in found if run.is_first else ():
        run.progress.say(f"rank {one.rank} computes {one.slowdown:g} times as long as the others, which wait for it")


def waits_of(feed: Feed, learner: Learner) -> Waits:
    """How long training has waited so far."""
    return Waits(feed.waited, learner.gradients.waited)


def sampler_of(run: Run) -> Sampler:
    """The order of the training samples."""
    train = run.pipeline.train
    return Sampler(len(run.data.dataset.train), train.global_batch_size, train.seed)


def feed_of(run: Run, sampler: Sampler, first: int) -> Feed:
    """This rank's share of the training split, from a step on."""
    train, data, communicator = run.pipeline.train, run.data, run.communicator
    maker = BatchMaker(
        Ready(data.dataset.train, data.bounds),
        data.preprocessing,
        data.plan,
        outputs=data.dataset.outputs,
        seed=train.seed,
        device=run.device,
    )
    return Feed(maker, sampler, rank=communicator.rank, size=communicator.size, first=first, epochs=train.epochs)


def validation_of(run: Run) -> Validation:
    """What is measured after every epoch."""
    evaluate, train, dataset = run.pipeline.evaluate, run.pipeline.train, run.data.dataset
    wanted: list[MetricName] = [name for name in wanted_metrics(evaluate, dataset.task) if name not in NOT_NUMBERS]
    if train.early_stopping and train.early_stopping.metric != "loss":
        wanted = list(dict.fromkeys([*wanted, train.early_stopping.metric]))
    settings = validation_settings(evaluate, tuple(wanted), dataset)
    return Validation(dataset, run.data.prepare.to(run.device), settings, run.communicator)
