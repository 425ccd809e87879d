"""Which ranks hold the others up: those that compute for much longer than the median rank."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from dltrain.api.progress import Straggler

SLOW: Final = 1.5
"""A rank that computes for this many times as long as the median rank is told of."""
TELLING_SECONDS: Final = 1.0
"""Of less computing than this nothing is said: it is noise."""


def stragglers_among(seconds: Sequence[float]) -> tuple[Straggler, ...]:
    """The ranks that hold the others up, the slowest first.

    Args:
        seconds: how long each rank has computed in the same steps.
    """
    usual = median(seconds)
    if len(seconds) == 2:
        usual = min(seconds)  # of two, the median is no rank's
    if usual < TELLING_SECONDS:
        return ()
    slow = [
        Straggler(rank=rank, slowdown=round(each / usual, 2))
        for rank, each in enumerate(seconds)
        if each > SLOW * usual
    ]
    return tuple(sorted(slow, key=lambda one: -one.slowdown))
