"""Mixup and CutMix: prepared samples changed in pairs, and their targets with them.

The pairs are neighbours in the global batch, whose order is random anyway. So the border between two ranks cuts one
pair in two at most, and both ranks make it: the result does not depend on how many ranks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dltrain.api.augmentations import Cutmix, Mixup
from dltrain.api.base import SpecModel
from dltrain_trainer.data.augment.finishing import boxes
from dltrain_trainer.data.augment.places import Draw, Size
from dltrain_trainer.data.counter import Draws


def whole_pairs(part: range, total: int) -> range:
    """The part of a batch with the other half of each of its pairs.

    Args:
        part: positions in the global batch.
        total: how many there are; the last one of an odd number has no partner.
    """
    return range(part.start - part.start % 2, min(part.stop + part.stop % 2, total)) if part else part


def partners(count: int) -> Tensor:
    """The position of each sample's partner, from an even position on; int64, shape (count,)."""
    positions = torch.arange(count)
    return torch.where(positions ^ 1 < count, positions ^ 1, positions)


def soft_targets(targets: Tensor, outputs: int) -> Tensor:
    """Targets that can be blended: classes as columns of 0 and 1; float32, shape (n, outputs)."""
    return one_hot(targets, outputs).float() if targets.dtype == torch.int64 else targets


def draw_mixup(spec: Mixup, draws: Draws, _: Size) -> Tensor:
    """Each sample's share of its partner; shape (n, 1)."""
    return shares(spec, draws).unsqueeze(1)


def mixup(batch: Tensor, targets: Tensor, drawn: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Blend samples with their partners by the shares drawn."""
    share = drawn.view(-1, *(1,) * (batch.dim() - 1))
    return torch.lerp(batch, batch[other], share), torch.lerp(targets, targets[other], drawn)


def draw_cutmix(spec: Cutmix, draws: Draws, size: Size) -> Tensor:
    """Each rectangle's first row, end row, first column and end column; empty where nothing is pasted; shape (n, 4).

    Its sides are the image's times the root of the share; its centre is anywhere, and what leaves the image is cut off.
    """
    share = shares(spec, draws).sqrt()
    centres = torch.from_numpy(draws.uniform(3, start=SEPARATE)[1:]).float()
    edges = []
    for whole, centre in zip(size, centres, strict=True):
        middle, half = (centre * whole).floor(), (share * whole / 2)
        edges += [(middle - half).floor().clamp(0, whole), (middle + half).floor().clamp(0, whole)]
    return torch.stack(edges, dim=1).long()


def cutmix(batch: Tensor, targets: Tensor, drawn: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Paste rectangles of the partners; targets go by the area that was pasted."""
    height, width = batch.shape[2:]
    pasted = boxes(drawn, height, width)
    share = pasted.flatten(1).sum(dim=1, keepdim=True) / (height * width)
    return torch.where(pasted, batch[other], batch), torch.lerp(targets, targets[other], share)


def shares(spec: Mixup | Cutmix, draws: Draws) -> Tensor:
    """Each sample's share of its partner, from Beta(alpha, alpha), or 0; shape (n,)."""
    mixed = draws.uniform(1, start=SEPARATE)[0] < spec.probability
    return torch.from_numpy(draws.beta(spec.alpha) * mixed).float()


SEPARATE: Final = 1 << 12
"""The counters from here on are none of those that a rejection method gets to."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How an augmentation of pairs works."""

    draw: Draw
    apply: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    """From batch, soft targets, numbers drawn and positions of partners to batch and targets."""


MIXES: Final[Mapping[type[SpecModel], Mix]] = {Mixup: Mix(draw_mixup, mixup), Cutmix: Mix(draw_cutmix, cutmix)}
"""The registry of augmentations of pairs."""
