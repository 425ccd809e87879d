"""The batches of one rank: its share of each global batch, prepared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dltrain_trainer.data.dataset import Split
from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.data.sampler import Sampler, share


@dataclass(frozen=True, slots=True)
class Batch:
    """A rank's share of one global batch; may be empty."""

    images: Tensor
    """float32, shape (n, C, H, W)."""
    labels: Tensor
    """int64, shape (n,)."""
    total: int
    """Samples of the global batch, over all ranks."""


@dataclass(frozen=True, slots=True)
class RankBatches:
    """The shares of one rank, epoch by epoch."""

    split: Split
    preprocessing: Preprocessing
    sampler: Sampler
    rank: int
    size: int
    device: torch.device

    def of_epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """This rank's share of an epoch's batches.

        Args:
            epoch: from 0.
            first: the step within the epoch to begin with.
        """
        order = self.sampler.order(epoch)
        for step in range(first, self.sampler.steps_per_epoch):
            whole = self.sampler.batch(order, step)
            mine = torch.from_numpy(share(whole, self.rank, self.size))
            images, labels = (part[mine].to(self.device) for part in (self.split.images, self.split.labels))
            yield Batch(self.preprocessing(images), labels, len(whole))
