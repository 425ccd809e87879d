"""Exact quantiles of columns over all ranks, without bringing the values together.

float32 numbers become whole numbers of the same order. Their upper 16 bits are counted, then the lower 16 bits of
those that share their upper bits with the quantile: two passes find it to the bit (radix selection).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.statistics.rows import Floats, Rows
from dltrain_trainer.data.team import Team

HALF: Final = 16
"""Bits counted in one pass."""
BINS: Final = 1 << HALF
SOUGHT: Final = 64
"""Order statistics that are looked for at a time: 34 MB of counters."""
SIGN: Final = np.uint32(1 << 31)
Integers = NDArray[np.int64]
Keys = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Sought:
    """Order statistics to be found, of some columns; all of shape (columns, wanted)."""

    upper: Integers
    """The upper bits of each."""
    below: Integers
    """How many values of its column have smaller upper bits."""
    ranks: Integers
    """The position of each in its sorted column, from 0."""


def quantiles(rows: Rows, columns: int, fractions: Sequence[float], team: Team) -> Floats:
    """Quantiles by linear interpolation between neighbours, as numpy's default; missing values left out.

    Args:
        rows: this rank's share of the samples.
        columns: how many there are.
        fractions: which quantiles, of 0..1.
        team: the ranks.

    Returns:
        Shape (fractions, columns); NaN for a column without values.
    """
    together = max(1, SOUGHT // (2 * len(fractions)))
    groups = [range(start, min(start + together, columns)) for start in range(0, columns, together)]
    return np.concatenate([of_group(rows, group, fractions, team) for group in groups], axis=1)


def of_group(rows: Rows, columns: range, fractions: Sequence[float], team: Team) -> Floats:
    """The quantiles of a few columns; shape (fractions, columns)."""
    counts = team.sum(upper_counts(rows, columns))
    total = counts.sum(axis=1)
    position = np.asarray(fractions)[None, :] * np.maximum(total - 1, 0)[:, None]
    ranks = np.concatenate([np.floor(position), np.ceil(position)], axis=1).astype(np.int64)
    sought = locate(counts, ranks)
    lower = team.sum(lower_counts(rows, columns, sought))
    low, high = np.split(values_at(lower, sought), 2, axis=1)
    found = low + (high - low) * (position - np.floor(position))
    return np.where(total[:, None] > 0, found, np.nan).T


def upper_counts(rows: Rows, columns: range) -> Integers:
    """How often each value of the upper bits is there; shape (columns, BINS)."""
    counts = np.zeros((len(columns), BINS), np.int64)
    for index, keys in keys_in(rows, columns):
        counts[index] += np.bincount(keys >> HALF, minlength=BINS)
    return counts


def locate(counts: Integers, ranks: Integers) -> Sought:
    """Where the values of some ranks are, by the counts of upper bits."""
    ends = counts.cumsum(axis=1)
    upper = np.stack([np.searchsorted(end, rank, side="right") for end, rank in zip(ends, ranks, strict=True)])
    upper = np.minimum(upper, BINS - 1)  # a column without values
    starts = np.concatenate([np.zeros((len(ends), 1), np.int64), ends], axis=1)
    return Sought(upper, np.take_along_axis(starts, upper, axis=1), ranks)


def lower_counts(rows: Rows, columns: range, sought: Sought) -> Integers:
    """How often each value of the lower bits is there beside the upper bits sought; shape (columns, wanted, BINS)."""
    counts = np.zeros((*sought.upper.shape, BINS), np.int64)
    for index, keys in keys_in(rows, columns):
        upper, wanted = keys >> HALF, sought.upper[index]
        for each in np.unique(wanted):
            counts[index, wanted == each] += np.bincount(keys[upper == each] & (BINS - 1), minlength=BINS)
    return counts


def values_at(lower: Integers, sought: Sought) -> Floats:
    """The values at the ranks sought; shape (columns, wanted)."""
    inside = (sought.ranks - sought.below)[..., None]
    low = (lower.cumsum(axis=2) <= inside).sum(axis=2)
    keys = (sought.upper << HALF | np.minimum(low, BINS - 1)).astype(np.uint32)
    return numbers_of(keys).astype(np.float64)


def keys_in(rows: Rows, columns: range) -> Iterator[tuple[int, Keys]]:
    """The keys of some columns, many rows at a time, each with the position of its column among them."""
    for array in rows():
        for start in range(0, len(array), BINS):
            together = array[start : start + BINS, columns.start : columns.stop].T
            yield from ((index, keys_of(column)) for index, column in enumerate(np.ascontiguousarray(together)))


def keys_of(values: NDArray[np.float32]) -> Keys:
    """Whole numbers in the order of the numbers they stand for, missing ones left out."""
    missing = np.isnan(values)
    bits = (values[~missing] if missing.any() else values).view(np.uint32)
    return bits ^ ((bits.view(np.int32) >> 31).view(np.uint32) | SIGN)


def numbers_of(keys: Keys) -> NDArray[np.float32]:
    """The numbers that keys stand for."""
    return np.where(keys & SIGN, keys ^ SIGN, ~keys).view(np.float32)
