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


def size_at(settings: ProgressiveResizing, whole: Size, share: float) -> Size:
    """The size of the images of a step.

    Args:
        settings: the job's.
        whole: of the images as the data pipeline gives them.
        share: of the training's steps that are done before it, from 0 to 1.
    """
    rises = 1 - settings.final_share - settings.initial_share
    risen = (share - settings.initial_share) / rises if rises > 0 else 0.0
    if share >= 1 - settings.final_share:
        return whole
    scale = settings.initial_scale + (1 - settings.initial_scale) * max(0.0, risen)
    height, width = (stepped(scale * side, settings.increment, side) for side in whole)
    return height, width


def whole_from(settings: ProgressiveResizing | None, steps: int) -> int:
    """From which step on, counted from 0, images are whole.

    Args:
        settings: the job's; None for images that always are.
        steps: of the whole training.
    """
    return math.ceil((1 - settings.final_share) * steps) if settings else 0


def stepped(side: float, increment: int, whole: int) -> int:
    """A side as a multiple of an increment: the largest that is no longer than it, but one increment at least."""
    return min(whole, max(1, int(side / increment + 1e-9)) * increment)


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
