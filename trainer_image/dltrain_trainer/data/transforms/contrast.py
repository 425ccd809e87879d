"""Contrast stretching: two percentiles become 0 and 1, what lies beyond is cut off."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain.api.transforms import ContrastStretch
from dltrain_trainer.data.statistics.bytes import quantiles_of
from dltrain_trainer.data.statistics.quantiles import quantiles
from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

CHUNK: Final = 256
"""Images sorted at a time."""


class Stretch(Step):
    """Stretches each image between its own percentiles, over all its channels together."""

    name = "stretch"

    def __init__(self, low: float, high: float, peak: float) -> None:
        """The step.

        Args:
            low: the percentile that becomes 0.
            high: the percentile that becomes 1.
            peak: the value of white; an image without contrast is divided by it.
        """
        super().__init__(low=low, high=high, peak=peak)
        self.low, self.high, self.peak = low, high, peak

    def forward(self, batch: Tensor) -> Tensor:
        """Stretch a batch of shape (n, C, H, W)."""
        return self.between(batch, percentiles(batch.flatten(1).sort(dim=1).values, (self.low, self.high)))

    def between(self, batch: Tensor, bounds: Tensor) -> Tensor:
        """Stretch a batch of shape (n, C, H, W) between percentiles that are known.

        Args:
            batch: changed in place.
            bounds: the two percentiles of each image; shape (n, 2).
        """
        low, spread = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        flat = spread <= 0
        low, scale = torch.where(flat, 0, low), torch.where(flat, 1 / self.peak, 1 / spread)
        return batch.sub_(low.view(-1, 1, 1, 1)).mul_(scale.view(-1, 1, 1, 1)).clamp_(0, 1)

    def bounds(self, images: NDArray[np.uint8]) -> Tensor:
        """The percentiles of images of bytes; shape (N, C, H, W) to (N, 2).

        For a whole split at once: a stable sort of bytes counts them, and is many times faster than one of floats.
        """
        found = torch.empty(len(images), 2)
        for start in range(0, len(images), CHUNK):
            rows = images[start : start + CHUNK].reshape(len(images[start : start + CHUNK]), -1)
            ordered = torch.from_numpy(np.sort(rows, axis=1, kind="stable"))
            found[start : start + CHUNK] = percentiles(ordered, (self.low, self.high))
        return found


def percentiles(ordered: Tensor, wanted: tuple[float, ...]) -> Tensor:
    """Percentiles by linear interpolation between neighbours, as numpy's default.

    Args:
        ordered: rows in ascending order; shape (n, values).
        wanted: which ones, of 0..100.

    Returns:
        float32, shape (n, wanted).
    """
    positions = [(ordered.shape[1] - 1) * percent / 100 for percent in wanted]
    low, high = (ordered[:, [turn(position) for position in positions]].float() for turn in (math.floor, math.ceil))
    share = torch.tensor([position % 1 for position in positions], device=ordered.device)
    return low + (high - low) * share


def fit_contrast_stretch(spec: ContrastStretch, fitting: Fitting) -> Fitting:
    """Nothing for images on their own; the percentiles of the training split otherwise.

    Raises:
        DataError: the samples are no images, or there is no contrast to stretch.
    """
    layout = fitting.layout
    if layout.kind != "images":
        raise DataError(f"{fitting.at}: works on images only; remove it")
    step = of_dataset(spec, fitting) if spec.per == "dataset" else of_image(spec, fitting)
    keeps_meaning = layout.scale != "free" and layout.space in {"rgb", "gray", "other"}
    return fitting.then(step, replace(layout, scale="native" if keeps_meaning else "free"))


def of_image(spec: ContrastStretch, fitting: Fitting) -> Step:
    """The step that stretches each image by itself."""
    return Stretch(spec.low, spec.high, 255.0 if fitting.layout.scale == "bytes" else 1.0)


def of_dataset(spec: ContrastStretch, fitting: Fitting) -> Step:
    """The step that stretches every image between the percentiles of the training split.

    Raises:
        DataError: they are the same.
    """
    fractions = (spec.low / 100, spec.high / 100)
    counts = fitting.byte_counts()
    if counts is not None and not fitting.steps:
        low, high = quantiles_of(counts.sum(axis=0), fractions)
    else:
        values = quantiles(lambda: (rows.reshape(-1, 1) for rows in fitting.rows()), 1, fractions, fitting.team)
        low, high = values[:, 0]
    if not high > low:
        raise DataError(f"{fitting.at}: both percentiles of the training split are {low:g}; set per: image")
    return Affine([float(low)], [float(1 / (high - low))], fitting.layout.trailing, clip=True)
