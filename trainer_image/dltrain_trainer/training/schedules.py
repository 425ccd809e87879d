"""Learning rates, pure: how far training is to a rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from dltrain.api.train import Schedule, Train

Curve = Callable[[Schedule, float, float], float]
"""The settings, the share of the steps after the warm-up that is done (0 to 1), and the epochs done -> a factor."""


def constant(schedule: Schedule, share: float, epochs: float) -> float:  # noqa: ARG001 - it depends on nothing
    """1."""
    return 1.0


def step(schedule: Schedule, share: float, epochs: float) -> float:  # noqa: ARG001 - it counts epochs
    """The fall for every milestone that is passed."""
    return schedule.fall ** sum(milestone <= epochs for milestone in schedule.milestones or ())


def cosine(schedule: Schedule, share: float, epochs: float) -> float:  # noqa: ARG001 - it knows steps only
    """Half a cosine from 1 to the end (Loshchilov and Hutter 2017, "SGDR", equation 5)."""
    return schedule.end + (1 - schedule.end) * 0.5 * (1 + math.cos(math.pi * share))


def linear(schedule: Schedule, share: float, epochs: float) -> float:  # noqa: ARG001 - it knows steps only
    """A straight line from 1 to the end."""
    return 1 - (1 - schedule.end) * share


SCHEDULES: Final[dict[str, Curve]] = {"constant": constant, "step": step, "cosine": cosine, "linear": linear}


def learning_rate(train: Train, done: int, steps_per_epoch: int) -> float:
    """The learning rate of a step.

    It rises linearly over the warm-up (Goyal et al. 2017, section 2.2) to its peak, which the linear scaling rule of
    the same paper (section 2.1) puts in proportion to the global batch where the job asks for it.

    Args:
        train: the job's training settings.
        done: how many steps are done before it, over all epochs.
        steps_per_epoch: global batches an epoch.
    """
    schedule, peak = train.schedule, train.peak_rate
    total = train.epochs * steps_per_epoch
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if done < warmup:
        return peak * (done + 1) / warmup
    share = (done - warmup) / max(1, total - warmup)
    return peak * SCHEDULES[schedule.name](schedule, share, done / steps_per_epoch)
