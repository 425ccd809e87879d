"""Progressive resizing: a training that begins on small images, whose steps cost less, and ends on whole ones.

The size of a step's images depends on its number alone: so all ranks have the same, and a training that is resumed
goes on with the size that it had.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import interpolate

from dltrain.api.train import ProgressiveResizing

Size = tuple[int, int]
"""Height and width in pixels."""


def whole_from(settings: ProgressiveResizing | None, steps: int) -> int:
    """From which step on, counted from 0, images are whole: from the last one at the latest.

    Args:
        settings: the job's; None for images that always are.
        steps: of the whole training.
    """
    return min(steps - 1, math.ceil((1 - settings.final_share) * steps)) if settings else 0


def size_at(settings: ProgressiveResizing, whole: Size, step: int, steps: int) -> Size:
    """The size of the images of a step.

    Args:
        settings: the job's.
        whole: of the images as the data pipeline gives them.
        step: counted from 0.
        steps: of the whole training.
    """
    if step >= whole_from(settings, steps):
        return whole
    rises = 1 - settings.final_share - settings.initial_share
    risen = max(0.0, step / steps - settings.initial_share) / rises if rises > 0 else 0.0
    return scaled(settings, whole, settings.initial_scale + (1 - settings.initial_scale) * risen)


def sizes_of(settings: ProgressiveResizing, whole: Size) -> list[Size]:
    """Every size that images may have before they are whole, from the smallest."""
    marks = {number / side for side in whole for number in range(settings.increment, side, settings.increment)}
    scales = (settings.initial_scale, *(mark for mark in marks if mark > settings.initial_scale))
    return sorted({scaled(settings, whole, scale) for scale in scales} - {whole})


def scaled(settings: ProgressiveResizing, whole: Size, scale: float) -> Size:
    """Height and width as multiples of the increment: the largest within a scale, but one increment at least."""
    increment = settings.increment
    height, width = (min(side, max(1, int(scale * side / increment + 1e-9)) * increment) for side in whole)
    return height, width


def size_of(images: Tensor) -> Size:
    """The size of images of shape (N, C, H, W)."""
    height, width = images.shape[2:]
    return height, width


def resized(images: Tensor, size: Size) -> Tensor:
    """Images of another size, by bilinear interpolation without aliasing.

    Args:
        images: float32, shape (N, C, H, W); N may be 0.
        size: theirs afterwards.

    Returns:
        float32, shape (N, C, *size); the very images where they have that size.
    """
    if size_of(images) == size:
        return images
    if not len(images):
        return images.new_empty((0, images.shape[1], *size))
    return interpolate(images, size, mode="bilinear", antialias=True)
