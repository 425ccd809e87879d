"""Learning rates, pure: a step number to a rate."""

from __future__ import annotations

import math

from dltrain.api.pipeline import Train


def learning_rate(train: Train, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step.

    Args:
        train: the job's training settings.
        step: the step over all epochs, from 0.
        steps_per_epoch: global batches an epoch.
    """
    total = train.epochs * steps_per_epoch
    warmup = round(train.schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return train.optimizer.lr * ((step + 1) / warmup)
    if train.schedule.name == "constant":
        return train.optimizer.lr
    done = (step - warmup) / max(1, total - warmup)
    return train.optimizer.lr * 0.5 * (1 + math.cos(math.pi * done))
