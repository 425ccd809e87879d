"""Covariance and principal axes of columns."""

from __future__ import annotations

import numpy as np

from dltrain_trainer.data.statistics.rows import Floats, Rows, small_blocks
from dltrain_trainer.data.team import Team


def covariance(rows: Rows, count: float, mean: Floats, team: Team) -> Floats:
    """The sample covariance of columns over all ranks: divided by the count less one.

    Args:
        rows: this rank's share of the samples, nothing missing.
        count: rows of all ranks, at least 2.
        mean: of each column, over all ranks; shape (columns,).
        team: the ranks.

    Returns:
        Shape (columns, columns).
    """
    products = np.zeros((len(mean), len(mean)))
    for block in small_blocks(rows):
        distance = block - mean
        products += distance.T @ distance  # numpy sees the same matrix twice, and works out one triangle only
    return team.sum(products) / (count - 1)


def principal_axes(matrix: Floats) -> tuple[Floats, Floats]:
    """The eigenvalues of a covariance, largest first, and their vectors as rows.

    A vector's sign is arbitrary; here its entry that is largest by amount is positive.
    """
    values, vectors = np.linalg.eigh(matrix)
    values, axes = np.maximum(values[::-1], 0), vectors[:, ::-1].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return values, axes * np.where(largest < 0, -1.0, 1.0)
