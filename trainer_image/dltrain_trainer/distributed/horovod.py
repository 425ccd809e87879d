"""Horovod for gradients and states, over MPI or NCCL."""

from __future__ import annotations

import horovod.torch as hvd
import torch
from torch import Tensor

from dltrain_trainer.distributed.communicator import Wait
from dltrain_trainer.distributed.mpi import MpiRanks
from dltrain_trainer.distributed.order import in_order


class HorovodCommunicator(MpiRanks):
    """The communicator of ranks that mpirun has started."""

    largest = 2**30
    """Bytes of one broadcast at most: Horovod has MPI count them with 31 bits."""

    def __init__(self) -> None:
        super().__init__()
        hvd.init()
        self.local_rank = hvd.local_rank()

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        """Begin to sum a tensor over all ranks, in place; Horovod's own thread carries it out."""
        handle = hvd.allreduce_async_(tensor, op=hvd.Sum, name=name)
        return lambda: hvd.synchronize(handle)

    def broadcast(self, tensor: Tensor, name: str, root: int = 0) -> None:
        """Replace a tensor by that of one rank, in place."""
        with in_order(tensor) as flat:
            for number, part in enumerate(torch.split(flat, self.largest)):
                hvd.broadcast_(part, root_rank=root, name=f"{name}.{number}")

    def close(self) -> None:
        """Leave Horovod, then let mpi4py end MPI at exit."""
        self.barrier()
        hvd.shutdown()
