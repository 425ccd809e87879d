"""A rank's batches of a training, made ahead, from any step to the last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import torch
from torch import Tensor

from dltrain_trainer.data.maker import Batch, BatchMaker
from dltrain_trainer.data.prefetch import Prefetcher
from dltrain_trainer.data.sampler import Indices, Sampler

AHEAD: Final = 3
"""Batches made ahead at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """One global batch of a training."""

    epoch: int
    samples: Indices


@dataclass(slots=True)
class Room:
    """A buffer, and the GPU's event after which it may be used again."""

    buffer: Tensor
    event: Any = None


class Feed:
    """The batches of one rank: an iterator, to be used in a `with` block.

    What a batch holds depends on seed, epoch and samples only, however many ranks there are and wherever the training
    begins. On a GPU, copying and augmenting go on beside the model's work, on a stream of their own.
    """

    def __init__(  # noqa: PLR0913 - where a rank is in a training
        self, maker: BatchMaker, sampler: Sampler, *, rank: int, size: int, first: int, epochs: int
    ) -> None:
        """The batches from a step on.

        Args:
            maker: makes them.
            sampler: the order of the samples.
            rank: this one.
            size: how many ranks there are.
            first: the step to begin with, counted from the first of the first epoch.
            epochs: how many there are in all.
        """
        self._maker, self.rank, self._size = maker, rank, size
        self._stream: Any = torch.cuda.Stream(maker.device) if maker.device.type == "cuda" else None  # type: ignore[no-untyped-call]
        largest = -(-sampler.batch_size // size)
        rooms = [Room(maker.room(largest)) for _ in range(AHEAD + 1)]
        self._ahead = Prefetcher(self._make, places(sampler, first, epochs), rooms)

    @property
    def waited(self) -> float:
        """Seconds that the training has waited for batches so far."""
        return self._ahead.waited

    def __enter__(self) -> Self:
        self._ahead.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ahead.stop()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch, event = next(self._ahead)
        if event is not None:  # the model's stream waits, not this thread
            current = torch.cuda.current_stream(self._maker.device)
            current.wait_event(event)
            for tensor in (batch.inputs, batch.targets):
                tensor.record_stream(current)
        return batch

    def _make(self, place: Place, room: Room) -> tuple[Batch, Any]:
        start, end = (len(place.samples) * rank // self._size for rank in (self.rank, self.rank + 1))
        part = range(start, end)
        with torch.no_grad():
            if self._stream is None:
                return self._maker.make(place.samples, part, place.epoch, room.buffer), None
            if room.event is not None:
                room.event.synchronize()
            with torch.cuda.stream(self._stream):
                batch = self._maker.make(place.samples, part, place.epoch, room.buffer)
            room.event = self._stream.record_event()
            return batch, room.event


def places(sampler: Sampler, first: int, epochs: int) -> Iterator[Place]:
    """The global batches of a training, from a step on."""
    steps = sampler.steps_per_epoch
    for epoch in range(first // steps, epochs):
        order = sampler.order(epoch)
        for step in range(first % steps if epoch == first // steps else 0, steps):
            yield Place(epoch, sampler.batch(order, step))
