"""Horovod for gradients and states, over MPI or NCCL; mpi4py for what is small and must be exact.

mpi4py is imported before Horovod is initialised: otherwise Horovod owns MPI, and ends it under mpi4py's feet.
"""

from __future__ import annotations

import horovod.torch as hvd
import torch
from mpi4py import MPI
from torch import Tensor

from dltrain_trainer.distributed.communicator import Wait


class HorovodCommunicator:
    """The communicator of ranks that mpirun has started."""

    def __init__(self) -> None:
        hvd.init()
        self.rank, self.size, self.local_rank = hvd.rank(), hvd.size(), hvd.local_rank()
        self._world = MPI.COMM_WORLD

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        """Begin to sum a tensor over all ranks, in place; Horovod's own thread carries it out."""
        handle = hvd.allreduce_async_(tensor, op=hvd.Sum, name=name)
        return lambda: hvd.synchronize(handle)

    def broadcast(self, tensor: Tensor, name: str) -> None:
        """Replace a tensor by that of rank 0, in place."""
        ordered = tensor.detach().contiguous()  # Horovod wants C order, whatever the tensor's is
        hvd.broadcast_(ordered.view(-1), root_rank=0, name=name)
        if ordered.data_ptr() != tensor.data_ptr():
            with torch.no_grad():
                tensor.copy_(ordered)

    def sum_integers(self, values: list[int]) -> list[int]:
        """The sums over all ranks, exact: Python's integers."""
        gathered = self._world.allgather(values)
        return [sum(column) for column in zip(*gathered, strict=True)]

    def from_first(self, value: int) -> int:
        """Rank 0's value."""
        return int(self._world.bcast(value, root=0))

    def barrier(self) -> None:
        """Wait for every rank."""
        self._world.Barrier()

    def close(self) -> None:
        """Leave Horovod, then let mpi4py end MPI at exit."""
        self.barrier()
        hvd.shutdown()
