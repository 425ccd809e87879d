"""What is small and must be exact, over mpi4py: the same for every backend whose ranks mpirun has started."""

from __future__ import annotations

import atexit
import time
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from dltrain_trainer.data.team import MpiTeam

Part = TypeVar("Part")
REST_SECONDS: Final = 0.01


class MpiRanks:
    """The ranks as MPI knows them.

    mpi4py is imported before a backend starts: otherwise Horovod owns MPI, and ends it under mpi4py's feet.
    """

    def __init__(self) -> None:
        start_mpi()
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        self.team = MpiTeam(self._world)

    def sum_integers(self, values: list[int]) -> list[int]:
        """The sums over all ranks, exact: Python's integers."""
        gathered = self._world.allgather(values)
        return [sum(column) for column in zip(*gathered, strict=True)]

    def from_first(self, value: int) -> int:
        """Rank 0's value."""
        return int(self._world.bcast(value, root=0))

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        """Send one part to each rank; what each has sent to this one."""
        return list(self._world.alltoall(list(parts)))

    def swap(self, values: NDArray[np.uint8], partner: int) -> NDArray[np.uint8]:
        """Send bytes to another rank and get as many from it, from memory to memory."""
        received = np.empty_like(values)
        self._world.Sendrecv(values, partner, recvbuf=received, source=partner)
        return received

    def barrier(self) -> None:
        """Wait for every rank."""
        self._world.Barrier()

    def rest(self) -> None:
        """Wait for every rank, asleep most of the time: MPI itself would poll."""
        arrived = self._world.Ibarrier()
        while not arrived.Test():
            time.sleep(REST_SECONDS)


def start_mpi() -> None:
    """Start MPI where the import of mpi4py has not: in a rank that was forked from a process which must not."""
    if not MPI.Is_initialized():
        MPI.Init_thread()
        atexit.register(MPI.Finalize)
