"""Convolutional networks: blocks of convolutions that lower the resolution, then linear layers."""

from __future__ import annotations

from typing import Final

from torch import nn

from dltrain.api.model import Cnn, CnnBlock, Model
from dltrain_trainer.models.activations import MONOTONE, activation_of, make_activation
from dltrain_trainer.models.dense import dense
from dltrain_trainer.models.shapes import Shape, at_least

DEFAULT_BLOCKS: Final = (CnnBlock(channels=16), CnnBlock(channels=32))
POOLS: Final = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


def cnn(shape: Shape, outputs: int, model: Model) -> nn.Module:
    """Build the network.

    Args:
        shape: channels, height and width of a sample; a pixel must be left after the last block.
        outputs: how many values it returns.
        model: the job's options: cnn, activation, dropout.

    Returns:
        A module from (N, C, H, W) to (N, outputs).

    Raises:
        ModelError: the samples are no images, or too small.
    """
    options, activation = model.cnn or Cnn(), activation_of(model)
    blocks = options.blocks or DEFAULT_BLOCKS
    divisor = 2 ** sum(block.pool != "none" for block in blocks)
    channels, height, width = at_least("cnn", shape, divisor)
    layers: list[nn.Module] = []
    for block in blocks:
        layers += block_layers(channels, block, activation)
        channels = block.channels
    pixels = 1 if options.flatten == "mean" else (height // divisor) * (width // divisor)
    layers += [nn.AdaptiveAvgPool2d(1)] if options.flatten == "mean" else []
    end = dense(channels * pixels, options.widths, outputs, activation, model.dropout or 0.0)
    return nn.Sequential(*layers, nn.Flatten(), *end)


def block_layers(inputs: int, block: CnnBlock, activation: str) -> list[nn.Module]:
    """The layers of a block.

    A maximum is taken before the last activation where that gives the same result: a quarter of its work.
    """
    layers: list[nn.Module] = []
    for index in range(block.convolutions):
        layers += convolution(inputs if index == 0 else block.channels, block)
        layers.append(make_activation(activation))
    pool = [POOLS[block.pool](2)] if block.pool != "none" else []
    if block.pool == "max" and activation in MONOTONE:
        return [*layers[:-1], *pool, layers[-1]]
    return [*layers, *pool]


def convolution(inputs: int, block: CnnBlock) -> list[nn.Module]:
    """A convolution that keeps the resolution, and its normalisation; which makes a bias of its own useless."""
    layer = nn.Conv2d(inputs, block.channels, block.kernel, padding=block.kernel // 2, bias=not block.normalize)
    return [layer, nn.BatchNorm2d(block.channels)] if block.normalize else [layer]
