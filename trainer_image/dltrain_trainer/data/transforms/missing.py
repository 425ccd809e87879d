"""Filling in missing values (NaN)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain.api.transforms import Impute
from dltrain_trainer.data.statistics.moments import counts_and_means
from dltrain_trainer.data.statistics.quantiles import quantiles
from dltrain_trainer.data.statistics.rows import Floats
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError


class Fill(Step):
    """Puts a number where one is missing."""

    name = "fill"
    values: Tensor

    def __init__(self, values: Sequence[float | None]) -> None:
        """The step; `values` has a number for each column, None where it stays missing."""
        super().__init__(values=list(values))
        self._hold("values", [torch.nan if value is None else value for value in values])

    def forward(self, batch: Tensor) -> Tensor:
        """Fill a batch of shape (..., columns)."""
        return torch.where(batch.isnan(), self.values, batch)


def fit_impute(spec: Impute, fitting: Fitting) -> Fitting:
    """The column's mean or median over the training split, or the constant; of columns of numbers.

    Raises:
        DataError: the samples are images, or a column has no value at all, or is named and holds text.
    """
    if fitting.layout.kind == "images":
        raise DataError(f"{fitting.at}: images have no missing values; remove it")
    chosen = numbers_chosen(spec, fitting)
    values = STRATEGIES[spec.strategy](spec, fitting)
    for feature, value, wanted in zip(fitting.layout.features, values, chosen, strict=True):
        if wanted and np.isnan(value):
            raise DataError(f"{fitting.at}: column {feature.name} has no value in the training split; leave it out")
    numbers = [float(value) if wanted else None for value, wanted in zip(values, chosen, strict=True)]
    return fitting.then(Fill(numbers), fitting.layout)


def numbers_chosen(spec: Impute, fitting: Fitting) -> NDArray[np.bool_]:
    """Which columns a job has filled: none of text, where a missing value is none of the words; shape (columns,).

    Raises:
        DataError: there is no such column, or the job names one of text.
    """
    chosen = fitting.chosen(spec.columns)
    for index, feature in enumerate(fitting.layout.features):
        if feature.categories and chosen[index] and spec.columns is not None:
            raise DataError(
                f"{fitting.at}.columns: {feature.name} holds text, for which no number can stand; leave it out: oneHot "
                "has an empty field as none of the words"
            )
        chosen[index] &= not feature.categories
    return chosen


def means(_: Impute, fitting: Fitting) -> Floats:
    """The mean of each column; NaN for one without values."""
    count, mean = counts_and_means(fitting.rows, fitting.layout.columns, fitting.team)
    return np.where(count > 0, mean, np.nan)


def medians(_: Impute, fitting: Fitting) -> Floats:
    """The median of each column; NaN for one without values."""
    return quantiles(fitting.rows, fitting.layout.columns, [0.5], fitting.team).reshape(-1)


def constants(spec: Impute, fitting: Fitting) -> Floats:
    """The constant for each column."""
    assert spec.value is not None, "the contract asks for a value"
    return np.full(fitting.layout.columns, spec.value)


STRATEGIES: Final[Mapping[str, Callable[[Impute, Fitting], Floats]]] = {
    "mean": means,
    "median": medians,
    "constant": constants,
}
