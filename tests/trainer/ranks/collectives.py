"""What Horovod's ranks get from each operation of a communicator."""

from __future__ import annotations

import sys
from typing import Any

import torch

from dltrain_trainer.distributed import Communicator, connect
from dltrain_trainer.distributed.horovod import HorovodCommunicator
from tests.trainer.mpi import tell


def sums(communicator: Communicator) -> dict[str, Any]:
    """Three sums under way at once, waited for in another order."""
    tensors = [torch.arange(length, dtype=torch.float32) + 10 * communicator.rank for length in (1, 5, 300_000)]
    waits = [communicator.start_sum(tensor, f"sum.{index}") for index, tensor in enumerate(tensors)]
    for wait in reversed(waits):
        wait()
    return {"short": [tensor.tolist() for tensor in tensors[:2]], "long": float(tensors[2][-1])}


def broadcasts(communicator: Communicator) -> dict[str, Any]:
    """Tensors of every kind that a state has, each filled with the rank's own numbers before."""
    own = torch.arange(24.0).view(2, 3, 2, 2) + 100 * communicator.rank
    tensors = {
        "plain": own.clone(),
        "channels last": own.contiguous(memory_format=torch.channels_last),
        "one channel": own[:, :1].contiguous(memory_format=torch.channels_last),
        "transposed": own[:, 0, 0].t(),
        "scalar": torch.tensor(5 + communicator.rank),
        "parameter": torch.nn.Parameter(own[0, 0].clone()),
    }
    strides = {name: tensor.stride() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        communicator.broadcast(tensor, name)
    assert strides == {name: tensor.stride() for name, tensor in tensors.items()}
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def in_parts(communicator: Communicator) -> list[float]:
    """A broadcast of more bytes than one message may have."""
    assert isinstance(communicator, HorovodCommunicator)
    communicator.largest = 16
    tensor = torch.arange(9.0) + 100 * communicator.rank
    communicator.broadcast(tensor, "in parts")
    return tensor.tolist()


def main(folder: str) -> None:
    """Use everything, leave, and see what is left."""
    communicator = connect()
    rank = communicator.rank
    found = {
        "place": [rank, communicator.size, communicator.local_rank],
        "sums": sums(communicator),
        "broadcasts": broadcasts(communicator),
        "in parts": in_parts(communicator),
        "integers": communicator.sum_integers([rank + 1, 2**70, -rank]),
        "from first": communicator.from_first(7 - rank),
        "exchanged": communicator.exchange([f"{rank} to {other}" for other in range(communicator.size)]),
        "team": communicator.team.gather(rank),
    }
    communicator.barrier()
    communicator.close()
    from mpi4py import MPI  # noqa: PLC0415 - must not be the first to start MPI

    after = [MPI.Is_finalized(), MPI.COMM_WORLD.allreduce(rank)]
    tell(folder, rank, {**found, "after leaving": after})


if __name__ == "__main__":
    main(*sys.argv[1:])
