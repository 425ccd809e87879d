"""Crops and flips: each pixel of the result is one of the image's, so that any number of them is one gather."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from dltrain.api.augmentations import Flip, RandomCrop
from dltrain.api.base import SpecModel
from dltrain_trainer.data.counter import Draws

Size = tuple[int, int]
"""Height and width of images."""
Draw = Callable[[Any, Draws, Size], Tensor]
"""From an augmentation's settings, the random numbers of some samples and their size to the numbers of each sample."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows and columns of some images' results come from; the image's size stands for black."""

    rows: Tensor
    """int64, shape (n, H)."""
    columns: Tensor
    """int64, shape (n, W)."""

    def of(self, chunk: slice, device: torch.device) -> Places:
        """The places of some of the images, on a device."""
        return Places(self.rows[chunk].to(device), self.columns[chunk].to(device))

    def gather(self, images: Tensor) -> Tensor:
        """The results.

        Args:
            images: any type, shape (n, C, H, W); n may be 0.
        """
        count, channels, height, width = images.shape
        framed = pad(images, (0, 1, 0, 1)).view(count, channels, (height + 1) * (width + 1))
        index = (self.rows * (width + 1)).unsqueeze(2) + self.columns.unsqueeze(1)
        flat = index.view(count, 1, height * width).expand(count, channels, height * width)
        return framed.gather(2, flat).view(count, channels, height, width)


def unmoved(count: int, shape: Sequence[int], device: torch.device) -> Places:
    """The places of so many images, of shape (C, H, W), that stay as they are."""
    rows, columns = (torch.arange(size, device=device).expand(count, -1) for size in shape[1:])
    return Places(rows, columns)


def draw_crop(spec: RandomCrop, draws: Draws, _: Size) -> Tensor:
    """The first row and column of each cut, in the padded image: 0 to twice the padding; int64, shape (n, 2)."""
    return torch.from_numpy((draws.uniform(2) * (2 * spec.padding + 1)).astype("int64").T)


def crop(spec: RandomCrop, places: Places, drawn: Tensor) -> Places:
    """Cut at the places drawn."""
    rows, columns = (
        cut(before, start - spec.padding, spec.fill)
        for before, start in ((places.rows, drawn[:, :1]), (places.columns, drawn[:, 1:]))
    )
    return Places(rows, columns)


def cut(before: Tensor, start: Tensor, fill: str) -> Tensor:
    """One axis moved by a start, which may be negative.

    Args:
        before: where its pixels came from so far; shape (n, size).
        start: shape (n, 1).
        fill: what lies outside.
    """
    size = before.shape[1]
    wanted = torch.arange(size, device=before.device) + start
    if fill == "reflect":
        wanted = torch.where(wanted < 0, -wanted, wanted)
        wanted = torch.where(wanted >= size, 2 * (size - 1) - wanted, wanted)
    found = before.gather(1, wanted.clamp(0, size - 1))
    return found if fill != "zero" else torch.where((wanted < 0) | (wanted >= size), size, found)


def draw_flip(spec: Flip, draws: Draws, _: Size) -> Tensor:
    """Whether each image is mirrored from top to bottom, and from left to right; int64, shape (n, 2)."""
    chances = torch.tensor([spec.vertical, spec.horizontal])
    return (torch.from_numpy(draws.uniform(2).T) < chances).long()


def flip(_: Flip, places: Places, drawn: Tensor) -> Places:
    """Mirror the images drawn."""
    rows, columns = (
        torch.where(mirrored > 0, before.flip(1), before)
        for before, mirrored in ((places.rows, drawn[:, :1]), (places.columns, drawn[:, 1:]))
    )
    return Places(rows, columns)


@dataclass(frozen=True, slots=True)
class Move:
    """How an augmentation that moves whole pixels works."""

    draw: Draw
    apply: Callable[[Any, Places, Tensor], Places]


MOVES: Final[Mapping[type[SpecModel], Move]] = {RandomCrop: Move(draw_crop, crop), Flip: Move(draw_flip, flip)}
"""The registry of augmentations that move whole pixels."""
