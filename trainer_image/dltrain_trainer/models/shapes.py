"""The shapes of samples, and what a model says of one that it cannot take."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from dltrain.api.model import Model
from dltrain_trainer.errors import FinalError


class ModelError(FinalError):
    """A model cannot be had, or does not fit the samples; the message is one sentence."""


Shape = tuple[int, ...]
"""Of one prepared sample: (channels, height, width) of an image, (steps, features) of a sequence, (features,) of a row
of a table."""
Builder = Callable[[Shape, int, Model], nn.Module]
"""The shape of a sample, the number of outputs and the job's options -> the model.

It maps float32 (N, *shape) to (N, outputs): logits of classes or labels, or values.  Raises ModelError where the
samples do not fit.
"""


def image_shape(name: str, shape: Shape) -> tuple[int, int, int]:
    """Channels, height and width.

    Args:
        name: the model's, for the error.
        shape: of a sample.

    Raises:
        ModelError: the samples are no images.
    """
    if len(shape) != 3:
        raise ModelError(f"{name} needs images (channels, height, width), got samples of shape {shape}")
    channels, height, width = shape
    return channels, height, width


def at_least(name: str, shape: Shape, side: int) -> tuple[int, int, int]:
    """Channels, height and width of images that are large enough.

    Args:
        name: the model's, for the error.
        shape: of a sample.
        side: the least height and width.

    Raises:
        ModelError: the samples are no images, or too small.
    """
    channels, height, width = image_shape(name, shape)
    if min(height, width) < side:
        raise ModelError(f"{name} needs samples of at least {side} x {side} pixels, got {height} x {width}")
    return channels, height, width
