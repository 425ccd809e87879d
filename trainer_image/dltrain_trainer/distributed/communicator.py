"""The seam between training and whatever carries its collectives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.data.team import Team

Part = TypeVar("Part")

Wait = Callable[[], None]
"""Blocks until an operation that was started is complete."""


class Communicator(Protocol):
    """The ranks of one attempt.  Every rank calls every operation, in the same order."""

    rank: int
    """This rank, from 0."""
    size: int
    """How many ranks there are."""
    local_rank: int
    """This rank among those of its machine, from 0."""

    @property
    def team(self) -> Team:
        """The same ranks, for statistics of the data."""
        ...

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        """Begin to replace a tensor by its sum over all ranks, in place.

        Args:
            tensor: contiguous; the same shape and type on every rank.
            name: the same on every rank, unlike any other that is under way.
        """
        ...

    def broadcast(self, tensor: Tensor, name: str, root: int = 0) -> None:
        """Replace a tensor by that of one rank, in place."""
        ...

    def sum_integers(self, values: list[int]) -> list[int]:
        """The sums over all ranks, exact, whatever their length."""
        ...

    def from_first(self, value: int) -> int:
        """Rank 0's value."""
        ...

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        """Send one part to each rank; what each rank has sent to this one, in the order of the ranks.

        Args:
            parts: as many as there are ranks; numpy arrays, or plain values.
        """
        ...

    def swap(self, values: NDArray[np.uint8], partner: int) -> NDArray[np.uint8]:
        """Send bytes to another rank and get as many from it; the two call this, and nobody else has to.

        Args:
            values: contiguous; as many on both ranks.
            partner: the other rank.
        """
        ...

    def barrier(self) -> None:
        """Wait for every rank."""
        ...

    def rest(self) -> None:
        """Wait for every rank without taking the processor from those that are still at work."""
        ...

    def close(self) -> None:
        """Leave; nothing else may follow."""
        ...
