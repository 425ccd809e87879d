"""A job of one rank: every collective is what the rank has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.data.team import Alone
from dltrain_trainer.distributed.communicator import Wait

Part = TypeVar("Part")


class SingleCommunicator:
    """The communicator of a rank that is alone."""

    rank, size, local_rank = 0, 1, 0
    team = Alone()

    def start_sum(self, tensor: Tensor, name: str) -> Wait:  # noqa: ARG002 - the sum over one rank
        """Leave the tensor as it is."""
        return lambda: None

    def broadcast(self, tensor: Tensor, name: str, root: int = 0) -> None:
        """Leave the tensor as it is."""

    def sum_integers(self, values: list[int]) -> list[int]:
        """The values."""
        return values

    def from_first(self, value: int) -> int:
        """The value."""
        return value

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        """The one part."""
        return list(parts)

    def swap(self, values: NDArray[np.uint8], partner: int) -> NDArray[np.uint8]:  # noqa: ARG002 - there is but one
        """The bytes."""
        return values

    def barrier(self) -> None:
        """Nobody to wait for."""

    def rest(self) -> None:
        """Nobody to wait for."""

    def close(self) -> None:
        """Nothing to leave."""
