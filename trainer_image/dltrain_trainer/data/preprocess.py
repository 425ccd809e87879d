"""Preprocessing: statistics of the training split, and the same arithmetic for training and inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dltrain.api.pipeline import Transform

CHUNK = 8192


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

    Exact: sums of bytes and of their squares are whole numbers.

    Args:
        images: uint8, shape (N, C, H, W).

    Returns:
        The means and the (population) deviations; a constant channel's deviation counts as 1.
    """
    total = torch.zeros(images.shape[1], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images, CHUNK):
        values = chunk.transpose(0, 1).flatten(1).to(torch.int64)
        total += values.sum(1)
        squares += values.square().sum(1)
    count = images.numel() // images.shape[1]
    mean = total.double() / count
    deviation = (squares.double() / count - mean.square()).clamp_min(0).sqrt()
    deviation[deviation == 0] = 255.0
    return (mean / 255).tolist(), (deviation / 255).tolist()
