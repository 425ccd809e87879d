"""Functions of a user's own, good and bad."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NUMBER = 3


def small(shape: tuple[int, ...], outputs: int, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0], width), nn.Tanh(), nn.Linear(width, outputs))


def failing(shape: tuple[int, ...], outputs: int) -> nn.Module:
    raise KeyError("no such thing")


def nothing(shape: tuple[int, ...], outputs: int) -> None:
    return None


def too_many(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return small(shape, outputs + 1)


def of_others(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Linear(99, outputs)


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
