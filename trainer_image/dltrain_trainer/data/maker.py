"""Makes prepared batches from the indices of samples: a few at a time, so that they stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from dltrain_trainer.data.augment.mixing import MIXES, partners, soft_targets, whole_pairs
from dltrain_trainer.data.augment.plan import Placed, Plan
from dltrain_trainer.data.recipe import Numbers, Recipe, moves_of
from dltrain_trainer.data.sampler import Indices
from dltrain_trainer.data.samples import Split
from dltrain_trainer.data.transforms.preprocessing import Preprocessing

CHUNK_VALUES: Final = 1 << 18
"""Values worked on at a time on a CPU: a megabyte."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A rank's share of one global batch; may be empty."""

    inputs: Tensor
    """float32, shape (n, ...): what the model gets."""
    targets: Tensor
    """As the split's; of shape (n, outputs) where samples were mixed."""
    total: int
    """Samples of the global batch, over all ranks."""
    samples: Indices
    """Their indexes within the split, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A split after its preparation."""

    split: Split
    bounds: Tensor | None = None
    """What each image is stretched between, where that is known beforehand; shape (N, 2)."""


class BatchMaker:
    """Makes the batches of one split."""

    def __init__(  # noqa: PLR0913 - what a batch is made from
        self,
        ready: Ready,
        preprocessing: Preprocessing,
        plan: Plan,
        *,
        outputs: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """The maker.

        Args:
            ready: the samples.
            preprocessing: what happens to them; its preparing steps have been done.
            plan: the augmentations; `Plan()` for none.
            outputs: classes or target columns.
            seed: of the augmentations.
            device: where batches are wanted.
        """
        self.ready, self.plan, self.device = ready, plan, device
        self._outputs, self._seed = outputs, seed
        images = ready.split.inputs.dtype == torch.uint8
        self._recipe = Recipe(preprocessing, plan, images=images, device=device)
        first = ready.split.inputs[:1].to(device)
        bounds = None if ready.bounds is None else ready.bounds[:1].to(device)
        self.shape = tuple(self._recipe(first, bounds, Numbers()).shape[1:])

    def room(self, count: int) -> Tensor:
        """A buffer for the batches of so many samples: for what the model gets, or what is copied to its device."""
        count += 2 * bool(self.plan.mixes)  # the other halves of two pairs
        if self.device.type == "cpu":
            return torch.empty(count, *self.shape)
        raw = self.ready.split.inputs
        return torch.empty(count, *raw.shape[1:], dtype=raw.dtype, pin_memory=True)

    def make(self, whole: Indices, part: range, epoch: int, room: Tensor) -> Batch:
        """A part of a global batch.

        Args:
            whole: the samples of the global batch.
            part: the positions in it that are wanted.
            epoch: of the augmentations' numbers.
            room: from `room`; holds the batch until it is used again.
        """
        wide = whole_pairs(part, len(whole)) if self.plan.mixes else part
        indices = whole[wide.start : wide.stop]
        inputs = self._inputs(indices, self._numbers(indices, epoch), room[: len(indices)])
        targets = self.ready.split.targets[torch.from_numpy(indices)].to(self.device)
        if self.plan.mixes:
            inputs, targets = self._mixed(inputs, targets, indices, epoch)
        own = slice(part.start - wide.start, part.stop - wide.start)
        return Batch(inputs[own], targets[own], len(whole), indices[own])

    def _numbers(self, indices: Indices, epoch: int) -> Numbers:
        raw = self.ready.split.inputs.shape[1:]
        moves, changes, finishes = (
            tuple(placed.draw(indices, self._seed, epoch, shape) for placed in group)
            for group, shape in ((self.plan.moves, raw), (self.plan.changes, raw), (self.plan.finishes, self.shape))
        )
        return Numbers(moves_of(moves, raw), changes, finishes)

    def _inputs(self, indices: Indices, numbers: Numbers, room: Tensor) -> Tensor:
        """What the model gets, before mixing: on a CPU in the room given, elsewhere by way of it."""
        chosen, store, bounds = torch.from_numpy(indices), self.ready.split.inputs, self.ready.bounds
        if self.device.type != "cpu":
            torch.index_select(store, 0, chosen, out=room)
            known = None if bounds is None else bounds[chosen].to(self.device)
            everything = numbers.of(slice(None), self.device)
            return self._recipe(room.to(self.device, non_blocking=True), known, everything)
        for chunk in chunks(len(indices), store[0].numel()):
            known = None if bounds is None else bounds[chosen[chunk]]
            raw = store.index_select(0, chosen[chunk])
            room[chunk] = self._recipe(raw, known, numbers.of(chunk, self.device))
        return room

    def _mixed(self, inputs: Tensor, targets: Tensor, indices: Indices, epoch: int) -> tuple[Tensor, Tensor]:
        """Samples and targets blended with those of their partners."""
        targets, other = soft_targets(targets, self._outputs), partners(len(indices)).to(self.device)
        for placed in self.plan.mixes:
            drawn = self._draw(placed, indices, epoch)
            inputs, targets = MIXES[type(placed.spec)].apply(inputs, targets, drawn, other)
        return inputs, targets

    def _draw(self, placed: Placed, indices: Indices, epoch: int) -> Tensor:
        return placed.draw(indices, self._seed, epoch, self.shape).numbers.to(self.device)


def chunks(count: int, values: int) -> Iterator[slice]:
    """Slices of so many samples of so many values, each small enough for the processor's cache."""
    height = max(1, CHUNK_VALUES // values)
    return (slice(start, start + height) for start in range(0, count, height))
