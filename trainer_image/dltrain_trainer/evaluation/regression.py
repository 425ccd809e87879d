"""Metrics of numbers: mean squared error, mean absolute error and R2, each column by itself and on average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.exact import exact_sum, quotient
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.ranks import Ranks

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Errors:
    """How far values are from their targets, over all ranks; every sum is exact, and rounded once."""

    mse: Floats
    """The mean squared error of each column, (K,)."""
    mae: Floats
    """The mean absolute error of each column, (K,)."""
    variance: Floats
    """The mean squared distance of the targets from their mean, of each column, (K,)."""

    @property
    def r2(self) -> Floats:
        """The share of the targets' variance that is explained, (K,); of constant targets 1 or 0, as scikit-learn."""
        constant = np.where(self.mse == 0, 1.0, 0.0)
        return np.where(self.variance == 0, constant, 1 - self.mse / np.where(self.variance == 0, 1, self.variance))


def errors(predictions: Predictions, ranks: Ranks) -> Errors:
    """Measure the values."""
    targets, distances = predictions.targets, predictions.outputs - predictions.targets
    mse = column_means(distances**2, ranks)
    mae = column_means(np.abs(distances), ranks)
    variance = column_means((targets - column_means(targets, ranks)) ** 2, ranks)
    return Errors(mse, mae, variance)


def column_means(values: Floats, ranks: Ranks) -> Floats:
    """The mean of each column over the rows of all ranks, (K,), each rounded once.

    Args:
        values: this rank's rows, (N, K).
        ranks: those that have the others.
    """
    *sums, rows = ranks.sum_integers([*(exact_sum(column) for column in values.T), len(values)])
    return np.array([quotient(total, rows) for total in sums])
