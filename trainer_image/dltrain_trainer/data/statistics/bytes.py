"""Statistics of unsigned bytes from counts of the 256 values: whole numbers, so exact on any number of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.statistics.moments import Moments
from dltrain_trainer.data.statistics.rows import Floats
from dltrain_trainer.data.team import Team, own_share

VALUES: Final = 256
CHUNK_BYTES: Final = 1 << 20
Counts = NDArray[np.int64]


def byte_counts(images: NDArray[np.uint8], team: Team) -> Counts:
    """How often each value is there in each channel, over all ranks.

    Args:
        images: the whole split, shape (N, C, H, W); each rank counts its share.
        team: the ranks.

    Returns:
        Shape (C, 256).
    """
    mine = images[own_share(len(images), team)]
    channels, height = mine.shape[1], max(1, CHUNK_BYTES // max(1, mine[0].size if len(mine) else 1))
    counts = np.zeros((channels, VALUES), np.int64)
    for start in range(0, len(mine), height):
        for channel in range(channels):
            counts[channel] += np.bincount(mine[start : start + height, channel].ravel(), minlength=VALUES)
    return team.sum(counts)


def moments_of(counts: Counts) -> Moments:
    """The moments of each channel.

    Args:
        counts: shape (C, 256).
    """
    each = [exact_moments([int(number) for number in row]) for row in counts]
    return Moments(*(np.array(column) for column in zip(*each, strict=True)))


def exact_moments(counts: Sequence[int]) -> tuple[float, float, float]:
    """Count, mean and variance of values 0, 1, 2 ... by how often each is there; rounded once, at the end."""
    count = sum(counts)
    total = sum(value * number for value, number in enumerate(counts))
    squares = sum(value**2 * number for value, number in enumerate(counts))
    return float(count), total / count, (count * squares - total**2) / count**2


def quantiles_of(counts: NDArray[np.int64], fractions: Sequence[float]) -> Floats:
    """Quantiles by linear interpolation between neighbours, as numpy's default.

    Args:
        counts: how often each value is there; shape (256,).
        fractions: which quantiles, of 0..1.

    Returns:
        Shape (fractions,).
    """
    ends = counts.cumsum()
    position = np.asarray(fractions) * (ends[-1] - 1)
    low, high = (np.searchsorted(ends, edge, side="right") for edge in (np.floor(position), np.ceil(position)))
    return np.asarray(low + (high - low) * (position - np.floor(position)))
