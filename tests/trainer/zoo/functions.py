"""Functions of a user's own, good and bad."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

NUMBER = 3


def small(shape: tuple[int, ...], outputs: int, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0], width), nn.Tanh(), nn.Linear(width, outputs))


def normed(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 4), nn.BatchNorm1d(4), nn.Linear(4, outputs))


def normed_pixels(shape: tuple[int, ...], outputs: int) -> nn.Module:
    first = [nn.Conv2d(shape[0], 2, 3, padding=1), nn.MaxPool2d(4), nn.BatchNorm2d(2)]
    return nn.Sequential(*first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, outputs))


def failing(shape: tuple[int, ...], outputs: int) -> nn.Module:
    raise KeyError("no such thing")


def nothing(shape: tuple[int, ...], outputs: int) -> None:
    return None


def too_many(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return small(shape, outputs + 1)


def frozen(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return small(shape, outputs).requires_grad_(requires_grad=False)


def without_weights(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.AdaptiveAvgPool1d(outputs)


def of_others(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Linear(99, outputs)


class Reshaped(nn.Module):
    """A convolution, whose result is made rows of."""

    def __init__(self, shape: tuple[int, ...], outputs: int, *, view: bool) -> None:
        super().__init__()
        self.body = nn.Conv2d(shape[0], 4, 3, padding=1)
        self.last = nn.Linear(4 * shape[1] * shape[2], outputs)
        self.view = view

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.last(x.view(len(x), -1) if self.view else x.flatten(1))


def reshaped(shape: tuple[int, ...], outputs: int, *, view: bool) -> nn.Module:
    return Reshaped(shape, outputs, view=view)


def lazy(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(outputs))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def pair(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Pair()


class Rounding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3, dtype=torch.int64)


def rounding(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Rounding()
