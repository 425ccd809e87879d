"""Buckets of gradients, and what becomes of them when they are sent in one form or another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dltrain.api.communication import Communication
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.bucket import Bucket
from dltrain_trainer.distributed.communicator import Wait
from dltrain_trainer.distributed.compression import Compression, finish_all
from dltrain_trainer.distributed.compressors import compressor_of
from dltrain_trainer.distributed.single import SingleCommunicator
from tests.trainer.group import ThreadCommunicator, on_ranks
from tests.trainer.optimisation.settings import random

ALONE = SingleCommunicator()
SHAPES = [(30, 20), (30,), (24, 5, 2, 2), (3, 3)]
"""Of parameters: a matrix, a vector, a convolution, and a matrix that is too small to be worth it."""


class Counting(SingleCommunicator):
    """Counts the bytes that are sent, by name."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        self.sent[name] = tensor.nbytes
        return super().start_sum(tensor, name)


def settings(name: str, rank: int = 2) -> Communication:
    options = {"powerSgd": {"rank": rank}} if name == "powerSgd" else {}
    return Communication.model_validate({"compression": name, **options})


def bucket_of(*gradients: Tensor, loss: float = 0.5) -> Bucket:
    """A bucket that holds some gradients, and a loss."""
    bucket = Bucket(0, [nn.Parameter(torch.zeros_like(one)) for one in gradients], extra=1)
    for parameter, gradient in zip(bucket.parameters, gradients, strict=True):
        assert parameter.grad is not None
        parameter.grad.copy_(gradient)
    bucket.extra.fill_(loss)
    return bucket


def compression_for(name: str, rank: int = 2) -> Compression:
    """A compression of a bucket with parameters of all shapes."""
    return compressor_of(settings(name, rank))([bucket_of(*(torch.zeros(shape) for shape in SHAPES))])


def gradients(step: int, rank: int = 0, scale: float = 1e-4) -> list[Tensor]:
    """Gradients of one rank at one step."""
    return [random(*shape, seed=1000 * step + 10 * rank + place) * scale for place, shape in enumerate(SHAPES)]


def summed(compression: Compression, communicator: Communicator, own: list[Tensor]) -> Bucket:
    bucket = bucket_of(*own, loss=0.25 + communicator.rank)
    finish_all([compression.start(bucket, communicator)])
    return bucket


def over_ranks(
    name: str, size: int, count: int, scale: Callable[[int], float] = lambda _step: 1e-4, **kind: Any
) -> Any:
    """For each step: what each rank has at the end, and the true sum."""

    def of_rank(communicator: ThreadCommunicator) -> list[Tensor]:
        compression = compression_for(name, **kind)
        own = (gradients(step, communicator.rank, scale(step)) for step in range(count))
        return [summed(compression, communicator, one).flat.clone() for one in own]

    found = on_ranks(size, of_rank)
    for step in range(count):
        true = torch.stack([bucket_of(*gradients(step, rank, scale(step))).gradients for rank in range(size)]).sum(0)
        yield [one[step] for one in found], true
