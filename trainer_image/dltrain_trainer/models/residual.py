"""Residual networks (He et al. 2015, "Deep Residual Learning for Image Recognition")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor, nn

from dltrain.api.model import Model, Resnet
from dltrain_trainer.models.activations import activation_of, make_activation
from dltrain_trainer.models.dense import dropout_layers
from dltrain_trainer.models.noise import StochasticDepth
from dltrain_trainer.models.shapes import Builder, ModelError, Shape, at_least

SMALL: Final = 64
"""Samples up to this many pixels on a side keep their resolution at the start, as in the paper's CIFAR networks."""
SMALLEST: Final = 9
"""Of smaller samples one pixel would be left at the end, which BatchNorm cannot normalise in a batch of one."""
SMALLEST_IMAGENET: Final = 33
"""The same of the longer side, where the first layers divide it by four."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the blocks of a network are built and grouped into stages."""

    bottleneck: bool
    """Whether a block is a 3 x 3 convolution between two of 1 x 1, instead of two of 3 x 3."""
    stages: tuple[int, int, int, int]
    """The blocks of each stage."""

    @property
    def expansion(self) -> int:
        """The outputs of a block, in widths of its stage."""
        return 4 if self.bottleneck else 1


LAYOUTS: Final[dict[str, Layout]] = {
    "resnet18": Layout(bottleneck=False, stages=(2, 2, 2, 2)),
    "resnet34": Layout(bottleneck=False, stages=(3, 4, 6, 3)),
    "resnet50": Layout(bottleneck=True, stages=(3, 4, 6, 3)),
    "resnet101": Layout(bottleneck=True, stages=(3, 4, 23, 3)),
    "resnet152": Layout(bottleneck=True, stages=(3, 8, 36, 3)),
}
"""Table 1 of the paper."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the blocks of a network have in common."""

    activation: str
    zero_gamma: bool
    layout: Layout


class Block(nn.Module):
    """Some convolutions and a shortcut around them."""

    def __init__(self, inputs: int, width: int, stride: int, skip: float, options: Options) -> None:
        super().__init__()
        outputs = width * options.layout.expansion
        self.body = nn.Sequential(*body_layers(inputs, width, stride, options))
        if options.zero_gamma:
            nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]  # of a BatchNorm2d
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*convolution(inputs, outputs, 1, stride)) if changes else nn.Identity()
        self.depth = StochasticDepth(skip) if skip else nn.Identity()
        self.activation = make_activation(options.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return self.activation(self.depth(self.body(x)) + self.shortcut(x))  # type: ignore[no-any-return]


def body_layers(inputs: int, width: int, stride: int, options: Options) -> list[nn.Module]:
    """The layers of a block; of a bottleneck the middle one has the stride (Goyal et al. 2017, section 5.1)."""
    if not options.layout.bottleneck:
        return [
            *convolution(inputs, width, 3, stride),
            make_activation(options.activation),
            *convolution(width, width, 3, 1),
        ]
    return [
        *convolution(inputs, width, 1, 1),
        make_activation(options.activation),
        *convolution(width, width, 3, stride),
        make_activation(options.activation),
        *convolution(width, width * options.layout.expansion, 1, 1),
    ]


def convolution(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    """A convolution that keeps the resolution but for its stride, and its normalisation."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return [layer, nn.BatchNorm2d(outputs)]


def stem(kind: str, channels: int, width: int, activation: str) -> list[nn.Module]:
    """The first layers: 3 x 3 for small samples, else 7 x 7 with stride 2 and a maximum."""
    if kind == "cifar":
        return [*convolution(channels, width, 3, 1), make_activation(activation)]
    return [*convolution(channels, width, 7, 2), make_activation(activation), nn.MaxPool2d(3, 2, padding=1)]


def skip_rates(blocks: int, last: float) -> list[float]:
    """How likely each block is skipped: in proportion to its place (Huang et al. 2016, equation 4).

    Args:
        blocks: how many there are.
        last: how likely the last is.
    """
    return [last * (index + 1) / blocks for index in range(blocks)]


def block_layers(width: int, rates: Sequence[float], options: Options) -> list[nn.Module]:
    """The blocks of all stages; each stage but the first halves the resolution and doubles the width."""
    layers: list[nn.Module] = []
    inputs, skips = width, iter(rates)
    for stage, blocks in enumerate(options.layout.stages):
        for index in range(blocks):
            stride = 2 if stage and not index else 1
            layers.append(Block(inputs, width << stage, stride, next(skips), options))
            inputs = (width << stage) * options.layout.expansion
    return layers


def stem_of(name: str, shape: Shape, resnet: Resnet) -> str:
    """Which first layers fit the samples.

    Raises:
        ModelError: the samples are no images, or too small.
    """
    _, height, width = at_least(name, shape, SMALLEST)
    kind = resnet.stem or ("cifar" if max(height, width) <= SMALL else "imagenet")
    if kind == "imagenet" and max(height, width) < SMALLEST_IMAGENET:
        raise ModelError(
            f"{name} with stem imagenet needs samples of at least {SMALLEST_IMAGENET} pixels on a side, "
            f"got {height} x {width}"
        )
    return kind


def resnet(name: str) -> Builder:
    """The builder of one of the networks."""
    layout = LAYOUTS[name]

    def build(shape: Shape, outputs: int, model: Model) -> nn.Module:
        """Build the network.

        Args:
            shape: channels, height and width of a sample.
            outputs: how many values it returns.
            model: the job's options: resnet, activation, dropout.

        Returns:
            A module from (N, C, H, W) to (N, outputs).

        Raises:
            ModelError: the samples are no images, or too small.
        """
        chosen, activation = model.resnet or Resnet(), activation_of(model)
        kind = stem_of(name, shape, chosen)
        rates = skip_rates(sum(layout.stages), chosen.stochastic_depth)
        features = (chosen.width << len(layout.stages) - 1) * layout.expansion
        return nn.Sequential(
            *stem(kind, shape[0], chosen.width, activation),
            *block_layers(chosen.width, rates, Options(activation, chosen.zero_gamma, layout)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            *dropout_layers(model.dropout or 0.0),
            nn.Linear(features, outputs),
        )

    return build
