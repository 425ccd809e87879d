"""What is done to raw samples on their way to the model, as one function of a batch and its random numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dltrain_trainer.data.augment.places import MOVES, Places, unmoved
from dltrain_trainer.data.augment.plan import FINISHES, WARPS, Drawn, Plan
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.contrast import Stretch
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.data.transforms.step import Step


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers drawn for a batch, by when they are used."""

    moves: Places | None = None
    """Where pixels come from, all moves together."""
    changes: tuple[Drawn, ...] = ()
    finishes: tuple[Drawn, ...] = ()

    def of(self, chunk: slice, device: torch.device) -> Numbers:
        """The numbers of some of the samples, on a device."""
        changes, finishes = (tuple(each.of(chunk, device) for each in part) for part in (self.changes, self.finishes))
        return Numbers(self.moves and self.moves.of(chunk, device), changes, finishes)


class Recipe:
    """The preprocessing after its preparation, with the augmentations in between.

    Where nothing happens to images of 0..1, the step to them is fused with the steps that follow.
    """

    def __init__(self, preprocessing: Preprocessing, plan: Plan, *, images: bool, device: torch.device) -> None:
        """The recipe; `images` says whether the samples are images of bytes."""
        steps: Sequence[Step] = preprocessing.rest
        self._stretch = steps[0] if images and isinstance(steps[0], Stretch) else None
        self._apart = images and (bool(plan.changes) or self._stretch is not None)
        self._unit = Chain(steps[:1]).to(device)
        self._rest = Chain(steps[1:] if self._apart else steps).to(device)

    def __call__(self, raw: Tensor, bounds: Tensor | None, numbers: Numbers) -> Tensor:
        """What the model gets of some samples, before they are mixed.

        Args:
            raw: the samples after their preparation; stay as they are.
            bounds: what each image is stretched between, where that is known beforehand.
            numbers: what was drawn for them.
        """
        batch = raw if numbers.moves is None else numbers.moves.gather(raw)
        if self._apart:
            batch = changed(self._in_units(batch, bounds), numbers.changes)
        batch = self._rest(batch)
        for drawn in numbers.finishes:
            batch = FINISHES[type(drawn.spec)].apply(drawn.spec, batch, drawn.numbers)
        return batch

    def _in_units(self, batch: Tensor, bounds: Tensor | None) -> Tensor:
        """Images of 0..1: bounds were found on whole images, before anything was cut off or blackened."""
        if self._stretch is not None and bounds is not None:
            return self._stretch.between(batch.float(), bounds)
        return self._unit(batch)  # type: ignore[no-any-return]


def moves_of(drawn: Iterable[Drawn], shape: Sequence[int]) -> Places | None:
    """All moves of whole pixels together; None for none.

    Args:
        drawn: the moves, in order.
        shape: of one image: (C, H, W).
    """
    places: Places | None = None
    for each in drawn:
        count, device = len(each.numbers), each.numbers.device
        before = places or unmoved(count, shape, device)
        places = MOVES[type(each.spec)].apply(each.spec, before, each.numbers)
    return places


def changed(images: Tensor, changes: Iterable[Drawn]) -> Tensor:
    """Images of 0..1 after changes, one after the other."""
    for drawn in changes:
        if type(drawn.spec) in WARPS:
            images = WARPS[type(drawn.spec)].apply(drawn.spec, images, drawn.numbers)
        elif (places := moves_of([drawn], images.shape[1:])) is not None:
            images = places.gather(images)
    return images
