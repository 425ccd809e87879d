"""Principal component analysis (Pearson 1901): the projection on the axes of largest variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from torch import Tensor
from torch.nn.functional import linear

from dltrain.api.transforms import Pca
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.data.statistics.covariance import covariance, principal_axes
from dltrain_trainer.data.statistics.moments import counts_and_means
from dltrain_trainer.data.statistics.rows import Floats
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.layout import Layout, check_encoded
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

MAX_COLUMNS: Final = 8192
"""Their covariance takes half a gigabyte."""
FLOOR: Final = 1e-10
"""A variance that is a smaller share of the largest is rounding, not data: whitening takes it to be as large as this,
and it is no part of the variance that components explain."""


class Project(Step):
    """Subtracts the mean and multiplies by the axes; images become rows first."""

    name = "project"
    mean: Tensor
    axes: Tensor

    def __init__(self, mean: Sequence[float], axes: Sequence[Sequence[float]], *, flatten: bool) -> None:
        """The step.

        Args:
            mean: of each column.
            axes: the rows to multiply by; shape (components, columns).
            flatten: whether all of a sample makes up one row.
        """
        super().__init__(mean=list(mean), axes=[list(axis) for axis in axes], flatten=flatten)
        self._hold("mean", mean)
        self._hold("axes", axes)
        self.flatten = flatten

    def forward(self, batch: Tensor) -> Tensor:
        """Project a batch; shape (..., columns) to (..., components)."""
        return linear((batch.flatten(1) if self.flatten else batch).sub_(self.mean), self.axes)


def fit_pca(spec: Pca, fitting: Fitting) -> Fitting:
    """The axes of the training split.

    Raises:
        DataError: a column holds text or lacks values, or there are too many columns, too few samples or components.
    """
    check_encoded(fitting.layout, fitting.at)
    fitting = fitting.in_units()
    flatten = fitting.layout.kind == "images"
    columns = int(np.prod(fitting.layout.shape)) if flatten else fitting.layout.columns
    if columns > MAX_COLUMNS:
        raise DataError(f"{fitting.at}: takes {MAX_COLUMNS} values a sample at most, here are {columns}; resize first")
    count, mean = counts_and_means(fitting.flat_rows, columns, fitting.team)
    check_counts(fitting, count)
    values, axes = principal_axes(covariance(fitting.flat_rows, count[0], mean, fitting.team))
    kept = components_kept(spec, values, fitting.at)
    axes = axes[:kept]
    if spec.whiten:
        axes = axes / np.sqrt(np.maximum(values[:kept], FLOOR * values[0]))[:, None]
    step = Project(mean.tolist(), axes.tolist(), flatten=flatten)
    return fitting.then(step, projected(fitting.layout, kept))


def check_counts(fitting: Fitting, count: Floats) -> None:
    """See that there are samples enough, and none of them incomplete.

    Raises:
        DataError: it is not so.
    """
    samples = len(fitting.inputs) * (fitting.layout.shape[0] if fitting.layout.kind == "series" else 1)
    if samples < 2:
        raise DataError(f"{fitting.at}: needs 2 training samples at least; use more of the data")
    for feature, found in zip(fitting.layout.features, count, strict=False):
        if found < samples:
            raise DataError(f"{fitting.at}: column {feature.name} has missing values; put impute: {{}} before it")


def components_kept(spec: Pca, values: Floats, at: str) -> int:
    """How many components a job keeps.

    Args:
        spec: the job's setting.
        values: the variance along each axis, largest first.
        at: the field, for errors.

    Raises:
        DataError: there are not as many, or no variance at all.
    """
    if not values[0] > 0:
        raise DataError(f"{at}: the training samples are all the same; check the data")
    if spec.components is not None:
        if spec.components > len(values):
            raise DataError(f"{at}.components: must be at most {len(values)} (got {spec.components}); lower it")
        return spec.components
    assert spec.explained_variance is not None, "the contract asks for one of the two"
    explained = np.cumsum(values[values > FLOOR * values[0]])
    return int(np.searchsorted(explained / explained[-1], spec.explained_variance, side="left")) + 1


def projected(layout: Layout, components: int) -> Layout:
    """The layout after a projection."""
    features = tuple(Feature(f"pca{index}") for index in range(components))
    if layout.kind == "series":
        return layout.with_features(features)
    return Layout("table", (components,), features)
