"""Training that knows of the rounding to come (Jacob et al. 2018, section 3).

The forward pass rounds the inputs and the weights of linear and convolution layers as int8 will; the backward pass
takes the rounding for the identity inside the range and for a constant outside of it (Bengio et al. 2013).
A batch normalisation behind a convolution scales its output channels, so a weight rounded with one scale a channel is
the same before and after both are folded into one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from dltrain.api.compress import Quantize
from dltrain_trainer.compression.hardware import processor
from dltrain_trainer.compression.problems import CompressionError

LEVELS: Final = 127
FEWER_LEVELS: Final = 63
"""Of weights where sums of products saturate."""
ACTIVATION_LEVELS: Final = 255
BATCH: Final = 64
TINY: Final = 1e-12

Range = tuple[Tensor, Tensor]
"""The smallest and the largest input of a layer; scalars."""
Rounder = Callable[[Tensor], Tensor]


@contextmanager
def rounding(model: nn.Module, samples: Tensor, spec: Quantize) -> Iterator[None]:
    """Let a model round as int8 will, while it is trained.

    Args:
        model: its layers get another forward pass for a while.
        samples: prepared; the ranges of the layers' inputs are those seen in them.
        spec: the job's settings.

    Raises:
        CompressionError: no layer rounds.
    """
    layers = {name: layer for name, layer in model.named_modules() if type(layer) in {nn.Linear, nn.Conv2d}}
    if not layers:
        raise CompressionError("it has no linear or convolution layer that could be trained to round")
    ranges = input_ranges(model, layers, samples)
    levels = FEWER_LEVELS if processor().saturates else LEVELS  # here: torch.compile would look it up in every pass
    round_weight = partial(rounded_weight, levels=levels, by_channel=spec.by_channel)
    for name, layer in layers.items():
        layer.forward = partial(FORWARDS[type(layer)], layer, rounder(ranges[name]), round_weight)
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward


@torch.no_grad()
def input_ranges(model: nn.Module, layers: dict[str, nn.Module], samples: Tensor) -> dict[str, Range]:
    """The range of each layer's inputs over some samples, in evaluation mode."""
    ranges = {name: (samples.new_zeros(()), samples.new_zeros(())) for name in layers}

    def note(name: str, _: nn.Module, given: tuple[Any, ...]) -> None:
        low, high = ranges[name]
        ranges[name] = torch.minimum(low, given[0].min()), torch.maximum(high, given[0].max())

    hooks = [layer.register_forward_pre_hook(partial(note, name)) for name, layer in layers.items()]
    mode = model.training
    model.eval()
    for batch in torch.split(samples, BATCH):
        model(batch)
    model.train(mode)
    for hook in hooks:
        hook.remove()
    return ranges


def rounder(seen: Range) -> Rounder:
    """What rounds a layer's inputs to 8 bits, 0 among the values that stay exact."""
    low, high = float(seen[0]), float(seen[1])
    scale = max(high - low, TINY) / ACTIVATION_LEVELS
    zero = round(-low / scale)
    return lambda inputs: torch.fake_quantize_per_tensor_affine(inputs, scale, zero, 0, ACTIVATION_LEVELS)


def rounded_weight(weight: Tensor, *, levels: int, by_channel: bool) -> Tensor:
    """A weight as int8 will hold it: symmetric, one scale for each output channel or for all.

    Args:
        weight: shape (outputs, inputs, ...).
        levels: the largest integer.
        by_channel: whether each output channel has a scale of its own.
    """
    peaks = weight.detach().abs().flatten(1).amax(1)
    if not by_channel:
        peaks = peaks.max().expand_as(peaks)
    scales = peaks.clamp(min=TINY) / levels
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -levels, levels)


def linear(layer: Any, round_inputs: Rounder, round_weight: Rounder, inputs: Tensor) -> Tensor:
    """The forward pass of a linear layer, rounded."""
    return functional.linear(round_inputs(inputs), round_weight(layer.weight), layer.bias)


def convolution(layer: Any, round_inputs: Rounder, round_weight: Rounder, inputs: Tensor) -> Tensor:
    """The forward pass of a convolution, rounded."""
    result: Tensor = layer._conv_forward(round_inputs(inputs), round_weight(layer.weight), layer.bias)  # noqa: SLF001 - torch's own seam
    return result


FORWARDS: Final[dict[type[nn.Module], Callable[..., Tensor]]] = {nn.Linear: linear, nn.Conv2d: convolution}
