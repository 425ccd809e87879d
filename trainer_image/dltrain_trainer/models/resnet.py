"""Residual networks (He et al. 2015, "Deep Residual Learning for Image Recognition")."""

from __future__ import annotations

from torch import Tensor, nn

SMALLEST = 9
"""Of smaller samples one pixel would be left at the end, which BatchNorm cannot normalise in a batch of one."""
SMALL = 64
"""Samples up to this many pixels on a side keep their resolution at the start, as in the paper's CIFAR networks."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut around them.

    The last normalisation starts at zero, so each block starts as the identity (Goyal et al. 2017).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(inputs, outputs, 3, stride), nn.ReLU(inplace=True), *convolution(outputs, outputs, 3, 1)
        )
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]  # of a BatchNorm2d
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*convolution(inputs, outputs, 1, stride)) if changes else nn.Identity()
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return self.activation(self.body(x) + self.shortcut(x))  # type: ignore[no-any-return]


def convolution(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """A convolution that keeps the resolution but for its stride, and its normalisation."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return [layer, nn.BatchNorm2d(outputs)]


def stem(channels: int, side: int) -> list[nn.Module]:
    """The first layers: 3 x 3 for small samples, else 7 x 7 with stride 2 and a maximum."""
    if side <= SMALL:
        return [*convolution(channels, 64, 3, 1), nn.ReLU(inplace=True)]
    return [*convolution(channels, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]


def resnet18(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build the 18-layer network.

    Args:
        shape: channels, height and width of a sample; at least 9 x 9.
        classes: how many logits it returns.

    Returns:
        A module from (N, C, H, W) to (N, classes).

    Raises:
        ValueError: the samples are too small.
    """
    channels, height, width = shape
    if min(height, width) < SMALLEST:
        raise ValueError(f"resnet18 needs samples of at least {SMALLEST} x {SMALLEST} pixels, got {height} x {width}")
    layers = stem(channels, max(height, width))
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))
