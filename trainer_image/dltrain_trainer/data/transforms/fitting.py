"""A chain while its steps are being fitted, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.data.statistics.bytes import Counts, byte_counts, moments_of
from dltrain_trainer.data.statistics.moments import Moments, extremes, moments
from dltrain_trainer.data.statistics.rows import Block, Floats
from dltrain_trainer.data.team import Team, own_share
from dltrain_trainer.data.transforms.layout import Layout
from dltrain_trainer.data.transforms.step import Step

CHUNK_VALUES: Final = 1 << 18
"""Values that go through the chain at a time."""


@dataclass(frozen=True)
class Fitting:
    """The steps so far, and what they make of the training split."""

    inputs: Tensor
    """The training split's, all of it on every rank; each rank looks at its share."""
    team: Team
    layout: Layout
    """After the steps so far."""
    unit: Callable[[Layout], Step]
    """Makes the step from bytes to 0..1."""
    chain: Callable[[Sequence[Step]], Callable[[Tensor], Tensor]]
    """Makes one function of some steps, the one that training uses: what the steps give one by one may be rounded
    otherwise, and is then no category of a oneHot. It leaves the batch that it gets as it is."""
    steps: tuple[Step, ...] = ()
    at: str = ""
    """The field that is being fitted, for errors."""
    width: int = 0
    """Values of a sample behind the step that gives most."""

    def then(self, step: Step, layout: Layout) -> Fitting:
        """With one step more, which gives samples of another layout."""
        width = max(self.width, math.prod(layout.shape))
        return replace(self, steps=(*self.steps, step), layout=layout, width=width)

    def in_units(self) -> Fitting:
        """With images as 0..1 instead of bytes."""
        if self.layout.scale != "bytes":
            return self
        return self.then(self.unit(self.layout), replace(self.layout, scale="native"))

    def chosen(self, names: tuple[str, ...] | None) -> NDArray[np.bool_]:
        """Which columns or channels a step is for; shape (columns,).

        Raises:
            DataError: there is no such column.
        """
        mask = np.zeros(self.layout.columns, bool)
        mask[self.layout.indices(names, f"{self.at}.columns")] = True
        return mask

    def byte_counts(self) -> Counts | None:
        """How often each byte is there in each channel; None where the samples are no bytes any more."""
        whole = self.layout.kind == "images" and (not self.steps or self.is_unit_only())
        return byte_counts(self.inputs.numpy(), self.team) if whole else None

    def is_unit_only(self) -> bool:
        """Whether nothing has happened but bytes to 0..1."""
        if self.layout.scale != "native" or len(self.steps) != 1:
            return False
        return self.steps[0].to_dict() == self.unit(self.layout).to_dict()  # stretched contrast is affine, too

    def moments(self) -> Moments:
        """Of each channel or column, after the steps so far."""
        counts = self.byte_counts()
        if counts is None:
            return moments(self.rows, self.layout.columns, self.team)
        found, peak = moments_of(counts), 255.0 if self.steps else 1.0
        return Moments(found.count, found.mean / peak, found.variance / peak**2)

    def extremes(self) -> tuple[Floats, Floats]:
        """The smallest and largest value of each channel or column, after the steps so far."""
        return extremes(self.rows, self.layout.columns, self.team)

    def rows(self) -> Iterator[Block]:
        """This rank's share after the steps so far, a row for each sample, moment or pixel; shape (m, columns)."""
        for batch in self.batches():
            channels_last = batch.movedim(1, -1) if self.layout.kind == "images" else batch
            yield channels_last.reshape(-1, self.layout.columns).numpy()

    def flat_rows(self) -> Iterator[Block]:
        """This rank's share after the steps so far, a row for each image, or as `rows`."""
        images = self.layout.kind == "images"
        yield from (batch.flatten(1).numpy() for batch in self.batches()) if images else self.rows()

    def batches(self) -> Iterator[Tensor]:
        """This rank's share after the steps so far, some samples at a time."""
        through = self.chain(self.steps)
        with torch.inference_mode():
            for batch in self.blocks(self.inputs[own_share(len(self.inputs), self.team)]):
                yield through(batch) if self.steps else batch.float()

    def blocks(self, samples: Tensor) -> Iterator[Tensor]:
        """Some samples at a time: so few that what the steps make of them is small, too."""
        height = max(1, CHUNK_VALUES // max(1, samples[:1].numel(), self.width))
        for start in range(0, len(samples), height):
            yield samples[start : start + height]
