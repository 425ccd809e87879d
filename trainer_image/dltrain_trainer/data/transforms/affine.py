"""(x - offset) * scale for each channel or column: normalise, min-max, and bytes to 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dltrain.api.transforms import MinMax, Normalize
from dltrain_trainer.data.statistics.moments import Moments
from dltrain_trainer.data.statistics.rows import Floats
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.step import Step

CONSTANT: Final = 1e-12
"""A deviation below this share of the mean is the rounding of a constant."""


class Affine(Step):
    """Subtracts, then multiplies: in that order nothing cancels where the mean is large."""

    name = "affine"
    offset: Tensor
    scale: Tensor

    def __init__(self, offset: Sequence[float], scale: Sequence[float], trailing: int, *, clip: bool = False) -> None:
        """The step.

        Args:
            offset: for each channel or column, or one for all.
            scale: likewise.
            trailing: axes of a batch behind the one of channels or columns.
            clip: whether the result is cut off at 0 and 1.
        """
        super().__init__(offset=list(offset), scale=list(scale), trailing=trailing, clip=clip)
        self._hold("offset", offset, trailing)
        self._hold("scale", scale, trailing)
        self.clip = clip

    def forward(self, batch: Tensor) -> Tensor:
        """Map a batch."""
        result = batch.sub_(self.offset).mul_(self.scale)
        return result.clamp_(0, 1) if self.clip else result


def fuse(first: Step, second: Step) -> Affine | None:
    """One step that does what two do; None where there is none.

    ((x - a) * s - b) * t = (x - (a + b / s)) * (s * t), worked out in double precision.
    """
    if not isinstance(first, Affine) or not isinstance(second, Affine) or first.clip:
        return None
    a, s, b, t = (np.asarray(step.numbers[name]) for step in (first, second) for name in ("offset", "scale"))
    if not s.all():
        return None
    trailing = max(first.numbers["trailing"], second.numbers["trailing"])
    return Affine((a + b / s).tolist(), (s * t).tolist(), trailing, clip=second.clip)


def fit_normalize(spec: Normalize, fitting: Fitting) -> Fitting:
    """Mean 0 and variance 1; a constant only loses its mean."""
    fitting = fitting.in_units()
    moments = fitting.moments()
    return append(fitting, fitting.chosen(spec.columns), moments.mean, 1 / spread_of(moments))


def spread_of(moments: Moments) -> Floats:
    """The standard deviation of each column; 1 for a constant, whose own is 0 but for rounding."""
    deviation = np.sqrt(moments.variance)
    return np.where(deviation <= CONSTANT * np.abs(moments.mean), 1.0, deviation)


def fit_min_max(spec: MinMax, fitting: Fitting) -> Fitting:
    """Smallest value to `low`, largest to `high`; a constant goes to `low`."""
    fitting = fitting.in_units()
    low, high = fitting.extremes()
    chosen = fitting.chosen(spec.columns) & ~np.isnan(low)
    spread = np.where(high > low, high - low, 1)
    scale = (spec.high - spec.low) / spread
    return append(fitting, chosen, low - spec.low / scale, scale)


def append(fitting: Fitting, chosen: NDArray[np.bool_], offset: Floats, scale: Floats) -> Fitting:
    """A fitting with an affine step more.

    Args:
        fitting: the steps so far.
        chosen: the columns or channels that the step is for; those that are not stay as they are.
        offset: of each.
        scale: of each.
    """
    layout = fitting.layout
    step = Affine(np.where(chosen, offset, 0).tolist(), np.where(chosen, scale, 1).tolist(), layout.trailing)
    names = (feature.name for feature in compress(layout.features, chosen))
    return fitting.then(step, replace(layout, scale="free", scaled=layout.scaled.union(names)))
