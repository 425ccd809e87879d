"""Smoothing images: the median of a square window, or a Gaussian; the border's pixels are repeated outside."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from dltrain.api.transforms import Denoise
from dltrain_trainer.data.transforms.fitting import Fitting
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

REACH: Final = 4.0
"""Standard deviations at which a Gaussian kernel ends, as in scikit-image and scipy."""


class Median(Step):
    """The median of the window around each pixel."""

    name = "median"

    def __init__(self, size: int) -> None:
        """The step; `size` is the side of the window, odd."""
        super().__init__(size=size)
        self.size = size

    def forward(self, batch: Tensor) -> Tensor:
        """Smooth a batch of shape (n, C, H, W); a median of bytes is a byte."""
        padded = replicated(batch, self.size // 2)
        if self.size == 3:
            return median_of_nine(padded)
        windows = padded.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(4).median(dim=4).values


class Gaussian(Step):
    """A weighted mean of the pixels around each."""

    name = "gaussian"
    kernel: Tensor

    def __init__(self, sigma: float, *, rounded: bool) -> None:
        """The step.

        Args:
            sigma: the standard deviation in pixels.
            rounded: whether the result is rounded to whole numbers, as bytes are.
        """
        super().__init__(sigma=sigma, rounded=rounded)
        self.radius, self.rounded = int(REACH * sigma + 0.5), rounded
        weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-self.radius, self.radius + 1)]
        self._hold("kernel", [weight / sum(weights) for weight in weights])

    def forward(self, batch: Tensor) -> Tensor:
        """Smooth a batch of shape (n, C, H, W), rows and columns one after the other."""
        count, channels, height, width = batch.shape
        planes = replicated(batch, self.radius).reshape(
            count * channels, 1, *(2 * self.radius + s for s in (height, width))
        )
        across = conv2d(conv2d(planes, self.kernel.view(1, 1, 1, -1)), self.kernel.view(1, 1, -1, 1))
        result = across.view(count, channels, height, width)
        return result.round_() if self.rounded else result


def replicated(batch: Tensor, radius: int) -> Tensor:
    """A batch with its border's pixels repeated outside, on every side."""
    return pad(batch, (radius,) * 4, mode="replicate")


def median_of_nine(padded: Tensor) -> Tensor:
    """The median of each 3 x 3 window; shape (..., H + 2, W + 2) to (..., H, W).

    The columns are sorted once for all windows that share them. Then the median of nine is the median of three: the
    largest of the small ones, the middle one of the middle ones, the smallest of the large ones (Smith 1996).
    """
    height, width = (size - 2 for size in padded.shape[-2:])
    low, middle, high = sorted_three(*(padded.narrow(-2, start, height) for start in range(3)))
    lows, middles, highs = ([part.narrow(-1, start, width) for start in range(3)] for part in (low, middle, high))
    small = torch.maximum(torch.maximum(lows[0], lows[1]), lows[2])
    large = torch.minimum(torch.minimum(highs[0], highs[1]), highs[2])
    return sorted_three(small, sorted_three(*middles)[1], large)[1]


def sorted_three(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The smallest, middle and largest of three, element by element."""
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(low, c), torch.maximum(low, torch.minimum(high, c)), torch.maximum(high, c)


def denoise_step(spec: Denoise, layout: Layout) -> Step:
    """The step of a job's setting."""
    if spec.method == "median":
        return Median(spec.size or 3)
    return Gaussian(1.0 if spec.sigma is None else spec.sigma, rounded=layout.scale == "bytes")


def fit_denoise(spec: Denoise, fitting: Fitting) -> Fitting:
    """No statistics are needed.

    Raises:
        DataError: the samples are no images.
    """
    if fitting.layout.kind != "images":
        raise DataError(f"{fitting.at}: works on images only; remove it")
    return fitting.then(denoise_step(spec, fitting.layout), fitting.layout)
