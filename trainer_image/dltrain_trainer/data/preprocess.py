"""Preprocessing: statistics of the training split, and the same arithmetic for training and inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dltrain.api.pipeline import Transform


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What happens to a batch of raw samples before the model: one multiplication and one subtraction a channel."""

    scale: tuple[float, ...]
    shift: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Prepare a batch.

        Args:
            images: uint8, shape (N, C, H, W).

        Returns:
            float32 of the same shape: images * scale - shift, per channel.
        """
        scale, shift = (
            torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (self.scale, self.shift)
        )
        return images.float().mul_(scale).sub_(shift)

    def to_dict(self) -> dict[str, Any]:
        """The numbers, as plain JSON values."""
        return {"scale": list(self.scale), "shift": list(self.shift)}


def fit_preprocessing(images: Tensor, transforms: Sequence[Transform]) -> Preprocessing:
    """The preprocessing of a job: 0..255 to 0..1, then what its transforms say.

    Args:
        images: the training split's, uint8, shape (N, C, H, W).
        transforms: the job's steps.
    """
    channels = images.shape[1]
    if not transforms:
        return Preprocessing((1 / 255,) * channels, (0.0,) * channels)
    mean, deviation = channel_statistics(images)  # normalising twice is normalising once
    scale = [1 / (255 * each) for each in deviation]
    return Preprocessing(tuple(scale), tuple(m / d for m, d in zip(mean, deviation, strict=True)))


def channel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, of values scaled to 0..1.

    Args:
        images: uint8, shape (N, C, H, W).

    Returns:
        The means and the (population) deviations; a constant channel's deviation counts as 1.
    """
    counts = [torch.bincount(channel.flatten(), minlength=256).tolist() for channel in images.unbind(1)]
    mean, deviation = zip(*map(moments, counts), strict=True)
    return list(mean), list(deviation)


def moments(counts: Sequence[int]) -> tuple[float, float]:
    """Mean and standard deviation of bytes scaled to 0..1; exact, for they come from whole numbers.

    Args:
        counts: how often each byte value occurs, from 0.

    Returns:
        The mean and the (population) deviation; 1 for a constant, which then stays a constant.
    """
    number = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    mean, variance = total / (255 * number), (number * squares - total * total) / (255 * number) ** 2
    return mean, math.sqrt(variance) if variance else 1.0
