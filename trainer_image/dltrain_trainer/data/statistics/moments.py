"""Counts, means, variances and extremes of columns, missing values left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dltrain_trainer.data.statistics.rows import Block, Floats, Rows, small_blocks
from dltrain_trainer.data.team import Team


@dataclass(frozen=True, slots=True)
class Moments:
    """Of each column, in double precision; shape (columns,)."""

    count: Floats
    """Values there are; a column may have none, and its mean and variance are then 0."""
    mean: Floats
    variance: Floats
    """Of the population: divided by the count."""


def moments(rows: Rows, columns: int, team: Team) -> Moments:
    """The moments of columns over all ranks, in two passes.

    The second pass sums squares of distances from the mean (Chan, Golub and LeVeque 1983): nothing cancels, however
    large the mean is.

    Args:
        rows: this rank's share of the samples.
        columns: how many there are.
        team: the ranks.
    """
    count, mean = counts_and_means(rows, columns, team)
    squares = np.zeros(columns)
    for block in small_blocks(rows):
        distance = block - mean
        distance[np.isnan(distance)] = 0
        squares += np.einsum("ij,ij->j", distance, distance)
    return Moments(count, mean, team.sum(squares) / np.maximum(count, 1))


def counts_and_means(rows: Rows, columns: int, team: Team) -> tuple[Floats, Floats]:
    """How many values each column has over all ranks, and their mean."""
    sums = np.zeros((2, columns))
    for block in small_blocks(rows):
        sums += counts_and_sums(block)
    count, total = team.sum(sums)
    return count, total / np.maximum(count, 1)


def counts_and_sums(block: Block) -> tuple[Floats, Floats]:
    """How many values each column of a block has, and their sum."""
    wide = block.astype(np.float64)
    total = np.ones(len(wide)) @ wide
    if not np.isnan(total).any():  # one look at the sums instead of one at each value
        return np.full(len(total), float(len(wide))), total
    there = ~np.isnan(wide)
    return there.sum(axis=0, dtype=np.float64), np.where(there, wide, 0.0).sum(axis=0)


def extremes(rows: Rows, columns: int, team: Team) -> tuple[Floats, Floats]:
    """The smallest and the largest value of each column over all ranks; NaN for a column without values."""
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    for block in small_blocks(rows):
        low = np.minimum(low, np.fmin.reduce(block, axis=0, initial=np.inf))
        high = np.maximum(high, np.fmax.reduce(block, axis=0, initial=-np.inf))
    lows, highs = zip(*team.gather((low, high)), strict=True)
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    missing = low > high
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)
