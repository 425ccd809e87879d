"""The ranks that work out statistics together: few collectives, small messages, exact or in double precision."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.sampler import share

Value = TypeVar("Value")
Number = TypeVar("Number", np.float64, np.int64)


class Team(Protocol):
    """The ranks of one attempt.  Every rank calls every operation, in the same order."""

    rank: int
    """This rank, from 0."""
    size: int
    """How many ranks there are."""

    def sum(self, values: NDArray[Number]) -> NDArray[Number]:
        """The sum over all ranks, element by element, the same to the bit on each; shapes must agree."""
        ...

    def gather(self, values: Value) -> list[Value]:
        """What every rank has, in their order."""
        ...

    def first(self, value: Value) -> Value:
        """What rank 0 has."""
        ...


class Alone:
    """A team of one."""

    rank, size = 0, 1

    def sum(self, values: NDArray[Number]) -> NDArray[Number]:
        """The values."""
        return values

    def gather(self, values: Value) -> list[Value]:
        """The values."""
        return [values]

    def first(self, value: Value) -> Value:
        """The value."""
        return value


class MpiTeam:
    """The ranks of an MPI communicator."""

    def __init__(self, world: Any) -> None:
        self.rank, self.size = int(world.Get_rank()), int(world.Get_size())
        self._world = world

    def sum(self, values: NDArray[Number]) -> NDArray[Number]:
        """Reduced on rank 0 and sent from there: an allreduce may round differently on each rank."""
        from mpi4py import MPI  # noqa: PLC0415 - importing it initialises MPI

        mine = np.ascontiguousarray(values)
        result = np.empty_like(mine)
        self._world.Reduce(mine, result, op=MPI.SUM, root=0)
        self._world.Bcast(result, root=0)
        return result

    def gather(self, values: Value) -> list[Value]:
        """What every rank has."""
        return list(self._world.allgather(values))

    def first(self, value: Value) -> Value:
        """What rank 0 has."""
        return self._world.bcast(value, root=0)  # type: ignore[no-any-return]


def own_share(count: int, team: Team) -> slice:
    """The part of so many samples that a rank of a team works on."""
    mine = share(np.arange(count), team.rank, team.size)
    return slice(int(mine[0]), int(mine[-1]) + 1) if len(mine) else slice(0, 0)
