"""The training loop.

for each epoch that is left:
    for each global batch of it, my share, made ahead:
        one optimizer step, the same on every rank
    what the job wants to know and keep after an epoch
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dltrain_trainer.data.feed import Feed
from dltrain_trainer.models.noise import noise_layers, sample_keys
from dltrain_trainer.training.observer import StepDone, TrainingObserver
from dltrain_trainer.training.resizing import resized, size_at, size_of
from dltrain_trainer.training.schedules import learning_rate
from dltrain_trainer.training.state import TrainingState
from dltrain_trainer.training.step import Samples, train_step


def fit(  # noqa: PLR0913 - what a training is made of
    state: TrainingState,
    feed: Feed,
    steps_per_epoch: int,
    observer: TrainingObserver,
    *,
    after_epoch: Callable[[TrainingState, int], None],
    after_step: Callable[[TrainingState], None] = lambda _state: None,
) -> None:
    """Train to the last epoch, or until early stopping, from wherever the state is.

    Args:
        state: what is trained; changed in place.
        feed: this rank's share of the training split, from the state's step on.
        steps_per_epoch: global batches of an epoch.
        observer: told of every step.
        after_epoch: called at the end of every epoch, which it is told, from 0.
        after_step: called after every step but the last of an epoch.
    """
    learner, train = state.learner, state.learner.train
    keyed = bool(next(noise_layers(learner.model), None))
    for epoch in range(state.step // steps_per_epoch, train.epochs):
        if state.is_over:
            return
        learner.model.train()
        observer.epoch_starts(epoch)
        for _ in range(state.step % steps_per_epoch, steps_per_epoch):
            batch = next(feed)
            keys = sample_keys(train.seed, epoch, batch.samples).to(batch.inputs.device) if keyed else None
            seed_step(train.seed, state.step, feed.rank, batch.inputs.device)
            rate = learning_rate(train, state.step, steps_per_epoch)
            inputs = batch.inputs
            if resizing := train.progressive_resizing:
                inputs = resized(inputs, size_at(resizing, size_of(inputs), state.step, train.epochs * steps_per_epoch))
            outcome = train_step(learner, Samples(inputs, batch.targets, batch.total, keys), rate, state.step)
            state.step += 1
            observer.step_done(StepDone(epoch + 1, state.step, outcome.loss, rate, len(batch.targets), batch.total))
            if state.step % steps_per_epoch:
                after_step(state)
        after_epoch(state, epoch)


def seed_step(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Let random layers that are not of the zoo draw the same numbers whenever a step is done again.

    Args:
        seed: the job's.
        step: steps done before.
        rank: this one, which draws numbers of its own.
        device: where the model is.
    """
    number = ((seed * 1_000_003 + step) * 65_537 + rank) % 2**63
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
