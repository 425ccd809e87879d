"""One column of 0 and 1 for each category of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from dltrain.api.transforms import OneHot
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

MAX_CATEGORIES: Final = 1000
"""More distinct numbers are measurements, not categories."""


class Hot(Step):
    """Picks columns, and compares some of them with a value each."""

    name = "oneHot"
    wanted: Tensor
    compared: Tensor

    def __init__(self, source: Sequence[int], values: Sequence[float | None]) -> None:
        """The step.

        Args:
            source: for each column of the result, the column it comes from.
            values: the value that makes it 1; None where the column stays as it is.
        """
        super().__init__(source=list(source), values=list(values))
        self.register_buffer("source", torch.tensor(source), persistent=False)
        self._hold("wanted", [0.0 if value is None else value for value in values])
        self.register_buffer("compared", torch.tensor([value is not None for value in values]), persistent=False)

    def forward(self, batch: Tensor) -> Tensor:
        """Encode a batch; shape (..., columns) to (..., columns of the result)."""
        picked = batch.index_select(-1, self.get_buffer("source"))
        return torch.where(self.compared, (picked == self.wanted).to(picked.dtype), picked)


def fit_one_hot(spec: OneHot, fitting: Fitting) -> Fitting:
    """The categories that the training split has.

    Raises:
        DataError: there is no such column, it has too many values, or it holds text and was scaled.
    """
    layout = fitting.layout
    chosen = layout.indices(spec.columns, f"{fitting.at}.columns")
    check_codes(layout, chosen, f"{fitting.at}.columns")
    categories = {index: categories_of(fitting, index) for index in chosen}
    columns = [(index, value) for index in range(layout.columns) for value in categories.get(index, [None])]
    features = [encoded(layout.features[index], value) for index, value in columns]
    step = Hot([index for index, _ in columns], [value for _, value in columns])
    return fitting.then(step, layout.with_features(features))


def check_codes(layout: Layout, chosen: Sequence[int], at: str) -> None:
    """See that columns of text still have the codes of their words.

    Args:
        layout: of the samples.
        chosen: the columns.
        at: the field that names them, for errors.

    Raises:
        DataError: one was scaled.
    """
    for feature in (layout.features[index] for index in chosen):
        if feature.categories and feature.name in layout.scaled:
            raise DataError(f"{at}: {feature.name} holds text and was scaled; put oneHot before normalize, minMax")


def categories_of(fitting: Fitting, index: int) -> list[float | None]:
    """The distinct values of a column over all ranks, in order.

    Raises:
        DataError: there are none, or too many.
    """
    feature, found = fitting.layout.features[index], set[float]()
    for block in fitting.rows():
        column = block[:, index]
        found |= set(np.unique(column[~np.isnan(column)])[: MAX_CATEGORIES + 1].tolist())
    values = sorted(set().union(*fitting.team.gather(found)))
    if not 0 < len(values) <= MAX_CATEGORIES:
        count = "no values" if not values else f"more than {MAX_CATEGORIES} distinct values"
        raise DataError(f"{fitting.at}.columns: {feature.name} has {count} in the training split; leave it out")
    return list(values)


def encoded(feature: Feature, value: float | None) -> Feature:
    """The column that says whether a feature has a value; the feature itself for None."""
    if value is None:
        return feature
    word = feature.categories[int(value)] if feature.categories else f"{value:g}"
    return Feature(f"{feature.name}={word}")
