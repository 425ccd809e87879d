"""torch.distributed for gradients and states, over gloo or NCCL.

mpirun has started the ranks, so MPI knows who they are: rank 0 opens torch's store and tells the others, over MPI,
where it is.  No other launcher is needed.  Operations are matched by their order, not by name.
"""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from mpi4py import MPI
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, but not in its list

from dltrain_trainer.distributed.communicator import Wait
from dltrain_trainer.distributed.mpi import MpiRanks
from dltrain_trainer.distributed.order import in_order

START_TIMEOUT: Final = timedelta(minutes=5)
"""How long ranks wait for each other at the start; the first import of torch takes a while on a busy machine."""
OPERATION_TIMEOUT: Final = timedelta(minutes=30)
"""How long an operation waits for the other ranks; a rank that ends is noticed at once."""
LOOPBACK: Final = "127.0.0.1"


class DdpCommunicator(MpiRanks):
    """The communicator of ranks that mpirun has started."""

    def __init__(self) -> None:
        super().__init__()
        machine = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, local_size = machine.Get_rank(), machine.Get_size()
        machine.Free()
        dist.init_process_group(
            backends(cuda=torch.cuda.is_available()),
            store=self._store(LOOPBACK if local_size == self.size else own_address()),
            rank=self.rank,
            world_size=self.size,
            timeout=OPERATION_TIMEOUT,
        )

    def start_sum(self, tensor: Tensor, name: str) -> Wait:  # noqa: ARG002 - operations are matched by their order
        """Begin to sum a tensor over all ranks, in place; a thread, or the GPU, carries it out."""
        work = dist.all_reduce(tensor, async_op=True)
        assert work is not None, "every rank is in the group"

        def wait() -> None:
            work.wait()

        return wait

    def broadcast(self, tensor: Tensor, name: str, root: int = 0) -> None:  # noqa: ARG002 - matched by their order
        """Replace a tensor by that of one rank, in place."""
        with in_order(tensor) as flat:
            dist.broadcast(flat, src=root)

    def close(self) -> None:
        """Leave torch's group, then let mpi4py end MPI at exit."""
        self.barrier()
        dist.destroy_process_group()

    def _store(self, address: str) -> TCPStore:
        """The store in which ranks leave their addresses: rank 0 serves it, on a port that is free."""
        if self.rank == 0:
            store = TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=START_TIMEOUT)
            self._world.bcast((address, store.port), root=0)
            return store
        host, port = self._world.bcast(None, root=0)
        return TCPStore(host, port, is_master=False, timeout=START_TIMEOUT)


def backends(*, cuda: bool) -> str:
    """What carries the tensors of each kind of device."""
    return "cpu:gloo,cuda:nccl" if cuda else "gloo"


def own_address() -> str:
    """This machine's address, as others know it; in a pod its name stands for the pod's."""
    return socket.gethostbyname(socket.gethostname())
