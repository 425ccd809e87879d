"""What the ranks of a backend get from each operation, and from training with everything that uses them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn

from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.bandwidth import measure
from dltrain_trainer.distributed.device import rank_device
from tests.trainer.collectives.learning import CNN, NORMALIZED, Cut, evenly, trained, unequally
from tests.trainer.mpi import tell

KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
TRAININGS: dict[str, tuple[dict[str, Any], Cut, dict[str, Any]]] = {
    "plain": (CNN, evenly, {"communication": {"bucketMebibytes": 0.002}}),
    "an empty share": (CNN, unequally, {"communication": {"bucketMebibytes": 0.002}}),
    "passes": (CNN, evenly, {"accumulation": 3, "communication": {"bucketMebibytes": 0.002}}),
    "synchronised": (NORMALIZED, evenly, {"communication": {"syncBatchNorm": True, "bucketMebibytes": 0.0002}}),
    "synchronised, an empty share": (
        NORMALIZED,
        lambda rank, _size: slice(0, 12 * rank),
        {"accumulation": 1, "communication": {"syncBatchNorm": True, "bucketMebibytes": 0.0002}},
    ),
    "fp16": (CNN, evenly, {"communication": {"compression": "fp16", "bucketMebibytes": 0.002}}),
    "bf16": (CNN, evenly, {"communication": {"compression": "bf16", "bucketMebibytes": 0.002}}),
    "powerSgd": (CNN, evenly, {"communication": {"compression": "powerSgd", "bucketMebibytes": 0.002}}),
}
WITHOUT = {"ddp": (), "horovod": ("bf16",)}
"""What a backend cannot carry."""


def connected(backend: str) -> Communicator:
    """The communicator of a backend."""
    if backend == "ddp":
        from dltrain_trainer.distributed.ddp import DdpCommunicator  # noqa: PLC0415 - initialises MPI

        return DdpCommunicator()
    from dltrain_trainer.distributed.horovod import HorovodCommunicator  # noqa: PLC0415 - initialises MPI

    return HorovodCommunicator()


def sums(communicator: Communicator, backend: str) -> dict[str, list[float]]:
    """Sums of every type, all under way at once, waited for in another order."""
    kinds = [kind for kind in KINDS if kind != torch.bfloat16 or backend == "ddp"]
    tensors = {str(kind): torch.tensor([1.5, -2.0], dtype=kind) * (1 + communicator.rank) for kind in kinds}
    waits = [communicator.start_sum(tensor, name) for name, tensor in tensors.items()]
    for wait in reversed(waits):
        wait()
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def broadcasts(communicator: Communicator) -> dict[str, Any]:
    """Tensors of every kind that a state has, each filled with the rank's own numbers before."""
    own = torch.arange(24.0).view(2, 3, 2, 2) + 100 * communicator.rank
    tensors = {
        "channels last": own.contiguous(memory_format=torch.channels_last),
        "one channel": own[:, :1].contiguous(memory_format=torch.channels_last),
        "transposed": own[:, 0, 0].t(),
        "whole number": torch.tensor(5 + communicator.rank),
        "double": torch.tensor([1 / 3 + communicator.rank], dtype=torch.float64),
        "parameter": nn.Parameter(own[0, 0].clone()),
    }
    for name, tensor in tensors.items():
        communicator.broadcast(tensor, name)
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def typed(communicator: Communicator) -> dict[str, str]:
    """Tensors of types that a user's model may have and not every backend knows, after a broadcast of the first's."""
    own = torch.tensor([1.0, 0.0, 2.0]) if communicator.rank == 0 else torch.zeros(3)
    kinds = (torch.bool, torch.bfloat16, torch.int16, torch.complex64, torch.complex128)
    tensors = {
        **{str(kind): own.to(kind) for kind in kinds},
        "scalar": own[0].to(torch.complex64),
        "conjugated": (own * (1 + 1j)).conj(),
        "empty": own[:0].bool(),
    }
    for name, tensor in tensors.items():
        communicator.broadcast(tensor, name)
    return {name: str(tensor.tolist()) for name, tensor in tensors.items()}


def main(folder: str, backend: str) -> None:
    """Use everything, and leave."""
    torch.set_num_threads(1)
    communicator = connected(backend)
    rank_device(communicator.local_rank)
    found = {
        "place": [communicator.rank, communicator.size, communicator.local_rank],
        "sums": sums(communicator, backend),
        "broadcasts": broadcasts(communicator),
        "typed": typed(communicator),
        "integers": communicator.sum_integers([communicator.rank + 1, 2**70]),
        "from first": communicator.from_first(7 - communicator.rank),
        "swapped": communicator.swap(np.full(3, communicator.rank, np.uint8), 1 - communicator.rank).tolist(),
        "bandwidth": measure(communicator, torch.device("cpu"), "here").to_dict(),
        "compilers": "torch._dynamo" in sys.modules,
    }
    for name, (model, cut, settings) in TRAININGS.items():
        if name not in WITHOUT[backend]:
            state, losses = trained(communicator, model, cut, **settings)
            weights = {key: tensor.tolist() for key, tensor in state.items() if key.startswith("model.")}
            found[name] = {"weights": weights, "losses": losses}
    rank = communicator.rank
    communicator.close()
    from mpi4py import MPI  # noqa: PLC0415 - must not be the first to start MPI

    tell(folder, rank, {**found, "after leaving": [MPI.Is_finalized(), MPI.COMM_WORLD.allreduce(rank)]})


if __name__ == "__main__":
    main(*sys.argv[1:])
