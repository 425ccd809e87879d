"""The non-linearities that a job can choose."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import nn

from dltrain.api.model import Model

DEFAULT: Final = "relu"

ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": partial(nn.ReLU, inplace=True),
    "leakyRelu": partial(nn.LeakyReLU, 0.01, inplace=True),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
"""In place where the gradient follows from the result alone; the others need their input again."""

MONOTONE: Final = frozenset({"sigmoid", "tanh", "relu", "leakyRelu"})
"""Those that never fall: the maximum may be taken before them, with the same result."""


def activation_of(model: Model) -> str:
    """The name of a model's activation."""
    return model.activation or DEFAULT


def make_activation(name: str) -> nn.Module:
    """A new activation."""
    return ACTIVATIONS[name]()
