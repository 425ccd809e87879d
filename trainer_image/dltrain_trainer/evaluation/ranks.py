"""What evaluation asks of the other ranks; a Communicator gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

Part = TypeVar("Part")


class Ranks(Protocol):
    """The ranks of one attempt.  Every rank calls every operation, in the same order."""

    @property
    def rank(self) -> int:
        """This rank, from 0."""
        ...

    @property
    def size(self) -> int:
        """How many ranks there are."""
        ...

    def sum_integers(self, values: list[int]) -> list[int]:
        """The sums over all ranks, exact, whatever their length."""
        ...

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        """Send one part to each rank; what each rank has sent to this one, in the order of the ranks.

        Args:
            parts: as many as there are ranks; numpy arrays, or plain values.
        """
        ...


def gather(ranks: Ranks, part: Part) -> list[Part]:
    """Every rank's part, in the order of the ranks, on every rank."""
    return ranks.exchange([part] * ranks.size)
