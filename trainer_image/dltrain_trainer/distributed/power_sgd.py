"""Gradients as products of two thin matrices (Vogels et al. 2019, "PowerSGD", algorithms 1 and 2).

A gradient M of n x m is sent as P of n x r and Q of m x r: P = M Q from the Q of the step before, summed over the ranks
and made orthonormal, then Q = transposed M times P, summed; M becomes P times transposed Q.  Each rank adds what its
own part of the product left out to its next gradient.  The result depends on the sum of what the ranks have left out
alone, not on how it is shared among them: it can be moved to one rank, saved, and go on with any number of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dltrain_trainer.distributed.bucket import Bucket
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.compression import Run, started


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of a bucket from one step to the next."""

    residual: Tensor
    """What this rank has left out: as long as the bucket's gradients; zero where they are sent whole."""
    directions: dict[int, Tensor]
    """Of each compressed parameter, by its place in the bucket: Q, orthonormal, of shape (columns, rank)."""


class PowerSgd:
    """Buckets as thin matrices; vectors, and matrices that would not become half as large, travel as they are."""

    differs = True

    def __init__(self, buckets: Sequence[Bucket], rank: int) -> None:
        """Begin with nothing left out and random directions, the same on every rank.

        Args:
            buckets: of the model.
            rank: the columns of the thin matrices.
        """
        self._memories = {bucket.name: new_memory(bucket, rank) for bucket in buckets}

    def start(self, bucket: Bucket, communicator: Communicator) -> Run:
        """Begin to replace a bucket by an approximation of its sum over all ranks."""
        return started(send(bucket, self._memories[bucket.name], communicator))

    def tensors(self) -> dict[str, Tensor]:
        """What was left out, and the directions."""
        residuals = {f"compression.residual.{name}": memory.residual for name, memory in self._memories.items()}
        directions = {
            f"compression.directions.{name}.{place}": direction
            for name, memory in self._memories.items()
            for place, direction in memory.directions.items()
        }
        return {**residuals, **directions}

    def gather(self, communicator: Communicator) -> None:
        """Move what all ranks have left out to rank 0."""
        for name, memory in self._memories.items():
            communicator.start_sum(memory.residual, f"{name}.residual")()
        self.restored(communicator.rank)

    def restored(self, rank: int) -> None:
        """Leave to rank 0 what was left out in all."""
        if rank:
            for memory in self._memories.values():
                memory.residual.zero_()


def new_memory(bucket: Bucket, rank: int) -> Memory:
    """The memory of a bucket before the first step."""
    generator = torch.Generator().manual_seed(bucket.index)
    directions = {
        place: orthonormal(torch.randn(matrix.shape[1], rank, generator=generator)).to(matrix.device)
        for place, matrix in enumerate(bucket.matrices(bucket.gradients))
        if is_worth_it(len(matrix), matrix.shape[1], rank)
    }
    return Memory(torch.zeros_like(bucket.gradients), directions)


def is_worth_it(rows: int, columns: int, rank: int) -> bool:
    """Whether the thin matrices hold half the values, at most."""
    return 2 * rank * (rows + columns) <= rows * columns


def send(bucket: Bucket, memory: Memory, communicator: Communicator) -> Run:
    """Replace a bucket by an approximation of its sum over all ranks."""
    bucket.gradients.add_(memory.residual)
    matrices, residuals = bucket.matrices(bucket.gradients), bucket.matrices(memory.residual)
    thin = list(memory.directions)
    whole = [matrix for place, matrix in enumerate(matrices) if place not in memory.directions]

    products = [matrices[place] @ direction for place, direction in memory.directions.items()]
    message = packed([*products, *whole, bucket.extra])
    wait = communicator.start_sum(message, bucket.name)
    yield
    wait()
    unpack(message, [*products, *whole, bucket.extra])

    bases = [orthonormal(product) for product in products]
    shares = [matrices[place].T @ basis for place, basis in zip(thin, bases, strict=True)]
    for place, basis, share in zip(thin, bases, shares, strict=True):
        torch.addmm(matrices[place], basis, share.T, alpha=-1, out=residuals[place])
    if not shares:
        return
    message = packed(shares)
    wait = communicator.start_sum(message, f"{bucket.name}.directions")
    yield
    wait()
    unpack(message, shares)

    for place, basis, share in zip(thin, bases, shares, strict=True):
        torch.mm(basis, share.T, out=matrices[place])
        memory.directions[place].copy_(orthonormal(share))


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """The values of some tensors in one flat tensor."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def unpack(message: Tensor, tensors: Sequence[Tensor]) -> None:
    """Write the values of a flat tensor to the tensors that it was packed from."""
    for tensor, part in zip(tensors, message.split_with_sizes([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view(tensor.shape))


def orthonormal(matrix: Tensor) -> Tensor:
    """Orthonormal columns that span those of a tall matrix; where it has too few of its own, any others.

    So a gradient that is zero for a while, as behind a scale of zero, does not lose its directions for good.
    """
    return torch.linalg.qr(matrix).Q  # type: ignore[no-any-return]  # the result has names
