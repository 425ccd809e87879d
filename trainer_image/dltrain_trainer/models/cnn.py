"""A small convolutional network: two convolution blocks and two linear layers."""

from __future__ import annotations

from torch import nn

HIDDEN = 128


def cnn(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the network.

    Args:
        shape: channels, height and width of a sample; at least 4 x 4.
        classes: how many logits it returns.

    Returns:
        A module from (N, C, H, W) to (N, classes).

    Raises:
        ValueError: the samples are too small.
    """
    channels, height, width = shape
    if min(height, width) < 4:
        raise ValueError(f"cnn needs samples of at least 4 x 4 pixels, got {height} x {width}")
    return nn.Sequential(
        *block(channels, 16),
        *block(16, 32),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), HIDDEN),
        nn.ReLU(inplace=True),
        nn.Linear(HIDDEN, classes),
    )


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3 x 3 convolution that halves height and width.

    The maximum is taken before the activation: the same result, and a quarter of its work.
    """
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)]
