"""The order of samples: decided by (seed, epoch) alone, so it does not depend on how many ranks share the work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Global batches over the samples of one split; each sample is in exactly one batch of every epoch."""

    samples: int
    batch_size: int
    """Of the global batch, over all ranks together; the last one of an epoch may be smaller."""
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Global batches in an epoch."""
        return -(-self.samples // self.batch_size)

    def order(self, epoch: int) -> Indices:
        """Every sample's index once, in the order of an epoch; shape (samples,).

        Philox is a counter-based generator (Salmon et al. 2011): the order of any epoch is had without the ones before.
        """
        return np.random.Generator(np.random.Philox(key=[self.seed, epoch])).permutation(self.samples)

    def batch(self, order: Indices, step: int) -> Indices:
        """The samples of one global batch of an epoch; step counts from 0 within it."""
        return order[step * self.batch_size : (step + 1) * self.batch_size]


def share(batch: Indices, rank: int, size: int) -> Indices:
    """The part of a batch that a rank takes: contiguous, sizes differing by one at most, empty for some if need be."""
    start, end = (len(batch) * index // size for index in (rank, rank + 1))
    return batch[start:end]
