"""A job's augmentations in the order in which they are applied, checked against the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from dltrain.api.augmentations import (
    Affine,
    Augmentation,
    ColorJitter,
    Cutmix,
    Erase,
    GaussianNoise,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
)
from dltrain.api.base import SpecModel
from dltrain_trainer.data.augment.colors import draw_jitter, jitter
from dltrain_trainer.data.augment.finishing import add_noise, draw_erase, draw_noise, erase
from dltrain_trainer.data.augment.mixing import MIXES
from dltrain_trainer.data.augment.places import MOVES, Draw
from dltrain_trainer.data.augment.warps import (
    affine,
    draw_affine,
    draw_resized_crop,
    draw_rotate,
    resized_crop,
    rotate,
)
from dltrain_trainer.data.counter import Draws
from dltrain_trainer.data.sampler import Indices
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.errors import DataError

PATH: Final = "spec.pipeline.data.augment"
PURPOSES: Final = 256
"""Random numbers of augmentations have purposes from here on, one for each position in the job's list."""


@dataclass(frozen=True, slots=True)
class Change:
    """How an augmentation of values works."""

    draw: Draw
    apply: Callable[[Any, Tensor, Tensor], Tensor]
    """From batch and numbers drawn to batch; may work in place."""


WARPS: Final[Mapping[type[SpecModel], Change]] = {
    Rotate: Change(draw_rotate, rotate),
    Affine: Change(draw_affine, affine),
    RandomResizedCrop: Change(draw_resized_crop, resized_crop),
    ColorJitter: Change(draw_jitter, jitter),
}
"""The registry of augmentations that come before normalising, on images of 0..1."""
FINISHES: Final[Mapping[type[SpecModel], Change]] = {
    Erase: Change(draw_erase, erase),
    GaussianNoise: Change(draw_noise, add_noise),
}
"""The registry of augmentations that come after it, on whatever the model gets."""


REGISTRIES: Final = (MOVES, WARPS, FINISHES, MIXES)


@dataclass(frozen=True, slots=True)
class Placed:
    """An augmentation, and the purpose of its random numbers."""

    spec: SpecModel
    purpose: int

    def draw(self, samples: Indices, seed: int, epoch: int, shape: Sequence[int]) -> Drawn:
        """The numbers of some samples, each of a shape, in one epoch."""
        found = next(registry[type(self.spec)] for registry in REGISTRIES if type(self.spec) in registry)
        size = (shape[1], shape[2]) if len(shape) == 3 else (0, 0)
        return Drawn(self.spec, found.draw(self.spec, Draws(seed, epoch, samples, self.purpose), size))


@dataclass(frozen=True, slots=True)
class Drawn:
    """An augmentation with the numbers that were drawn for a batch."""

    spec: SpecModel
    numbers: Tensor
    """Shape (n, numbers)."""

    def of(self, chunk: slice, device: torch.device) -> Drawn:
        """The numbers of some of the samples, on a device."""
        return Drawn(self.spec, self.numbers[chunk].to(device))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done when."""

    moves: tuple[Placed, ...] = ()
    """First, on bytes, in one gather."""
    changes: tuple[Placed, ...] = ()
    """Then, on images of 0..1; may move whole pixels too."""
    finishes: tuple[Placed, ...] = ()
    """After the transforms."""
    mixes: tuple[Placed, ...] = ()
    """Last."""


def make_plan(augment: Sequence[Augmentation], raw: Layout, ready: Layout) -> Plan:
    """The plan of a job.

    Args:
        augment: the job's list.
        raw: the layout of the prepared samples.
        ready: the layout of what the model gets.

    Raises:
        DataError: an augmentation does not fit the data.
    """
    for index, augmentation in enumerate(augment):
        check(augmentation, f"{PATH}[{index}].{augmentation.name}", raw, ready)
    placed = [Placed(augmentation.chosen, PURPOSES + index) for index, augmentation in enumerate(augment)]
    early = [each for each in placed if type(each.spec) in MOVES or type(each.spec) in WARPS]
    first = next((index for index, each in enumerate(early) if type(each.spec) not in MOVES), len(early))
    return Plan(
        moves=tuple(early[:first]),
        changes=tuple(early[first:]),
        finishes=tuple(each for each in placed if type(each.spec) in FINISHES),
        mixes=tuple(each for each in placed if type(each.spec) in MIXES),
    )


def check(augmentation: Augmentation, at: str, raw: Layout, ready: Layout) -> None:
    """See that an augmentation fits the data.

    Raises:
        DataError: it does not.
    """
    spec = augmentation.chosen
    before = type(spec) in MOVES or type(spec) in WARPS
    if before and raw.kind != "images":
        raise DataError(f"{at}: works on images only, not on a {raw.kind}; remove it")
    if isinstance(spec, Erase | Cutmix) and ready.kind != "images":
        raise DataError(f"{at}: works on images only, and the model gets a {ready.kind}; remove it")
    if isinstance(spec, RandomCrop):
        limit = min(raw.shape[1:]) - (spec.fill == "reflect")
        if spec.padding > limit:
            raise DataError(f"{at}.padding: must be at most {limit} for images of {raw.shape} (got {spec.padding})")
    if isinstance(spec, ColorJitter) and raw.shape[0] not in ({3} if spec.saturation or spec.hue else {1, 3}):
        raise DataError(
            f"{at}: needs images of 3 channels, not {raw.shape[0]}; set saturation and hue to 0, or remove it"
        )
