"""Models such as users write, with what those do to their parameters and buffers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def rows(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """One hidden layer, whatever the samples are."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 5), nn.GELU(), nn.Linear(5, outputs))


def normed(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Batch normalisation, and dropout of torch's own."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), 6),
        nn.BatchNorm1d(6),
        nn.Dropout(0.3),
        nn.ReLU(),
        nn.Linear(6, outputs),
    )


class Tied(nn.Module):
    """One weight in two places, and a buffer that training changes and a checkpoint leaves out."""

    calls: Tensor

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.last = nn.Linear(width, outputs)
        self.register_buffer("scale", torch.tensor(0.5), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x))) * self.scale))


def tied(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Tied(math.prod(shape), outputs)


def frozen(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A first layer that is not trained, and a parameter that has no part in the outputs."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 5), nn.Tanh(), nn.Linear(5, outputs))
    for parameter in model[1].parameters():
        parameter.requires_grad_(False)
    model.register_parameter("unused", nn.Parameter(torch.ones(3)))
    return model
