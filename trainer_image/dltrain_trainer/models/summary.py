"""What a model costs for samples of a shape: parameters, multiply-accumulates, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from dltrain_trainer.models.shapes import Shape

SAMPLES: Final = 2
"""Of the batch that is traced: one alone, with one pixel, could not be normalised."""
META: Final = torch.device("meta")
"""Tensors there have a shape and no values: nothing is computed, and nothing is allocated."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model costs."""

    parameters: int
    """How many numbers it learns."""
    parameter_bytes: int
    """What its parameters and buffers take."""
    macs: int
    """Multiply-accumulates of its matrix products and convolutions for one sample, forward."""
    activation_bytes: int
    """What training keeps for one sample between forward and backward."""


def summarize(model: nn.Module, shape: Shape) -> Summary:
    """Count what a model costs, without computing anything.

    Convolutions and matrix products are counted, as in the literature; normalisations, activations and additions, a
    few operations a value, are not.

    Args:
        model: on any device; left as it was.
        shape: of a sample.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    forward, kept = trace(model, {name: on_meta(tensor) for name, tensor in tensors.items()}, shape)
    return Summary(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        parameter_bytes=sum(tensor.nbytes for tensor in tensors.values()),
        macs=forward // (2 * SAMPLES),
        activation_bytes=kept // SAMPLES,
    )


def on_meta(tensor: Tensor) -> Tensor:
    """A tensor's shape and type, without its values."""
    return torch.empty_like(tensor, device=META, requires_grad=tensor.requires_grad)


def trace(model: nn.Module, tensors: Mapping[str, Tensor], shape: Shape) -> tuple[int, int]:
    """The floating-point operations of a forward pass in training, and the bytes that it leaves behind."""
    kept: dict[Any, Tensor] = {}
    known = {identity(tensor) for tensor in tensors.values()}

    def keep(tensor: Tensor) -> Tensor:
        if identity(tensor) not in known:
            kept[identity(tensor)] = tensor  # held, so that its identity is not given to another
        return tensor

    batch = torch.empty(SAMPLES, *shape, device=META)
    counter = FlopCounterMode(display=False)
    with in_training(model), saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        functional_call(model, dict(tensors), (batch,))
    return counter.get_total_flops(), sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def identity(tensor: Tensor) -> Any:
    """What views of the same memory have in common."""
    return tensor.untyped_storage()._cdata  # noqa: SLF001 - a meta tensor has no address


@contextmanager
def in_training(model: nn.Module) -> Iterator[None]:
    """Training mode for a while; nothing of the model changes, for the tensors it works on are others."""
    modes = {module: module.training for module in model.modules()}
    model.train()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
