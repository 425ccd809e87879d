"""Training settings, and small models with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dltrain.api.train import Train


def train_of(**fields: Any) -> Train:
    """A job's training settings, by their names in YAML."""
    return Train.model_validate(fields)


class Weights(nn.Module):
    """Some parameters with values of their own, and no way to use them."""

    matrix: nn.Parameter
    bias: nn.Parameter

    def __init__(self, **values: Tensor) -> None:
        super().__init__()
        for name, value in values.items():
            self.register_parameter(name, nn.Parameter(value.clone()))


def with_gradients(model: nn.Module, *gradients: Tensor) -> None:
    """Give the parameters of a model gradients, in their order."""
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient.clone()


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
