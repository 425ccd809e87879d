"""Gradients in fp16, scaled so that they neither vanish nor overflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from dltrain_trainer.distributed.bucket import Bucket
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.compression import Run, started

LARGEST_HALF: Final = 65_504.0
HEADROOM: Final = 16.0
"""How much gradients may grow from a step to the next and still travel in fp16."""
LARGEST_EXPONENT: Final = 100
"""Of a scale; it and its inverse are fp32 numbers."""


class ScaledHalf:
    """Buckets in fp16, scaled by a power of two so that they neither vanish nor overflow: 11 bits of precision.

    The scale follows from the sum of the ranks' largest gradients one step before, which bounds every sum; this step's
    travels along, and where it shows that fp16 could not hold the sums, all ranks send the bucket again, in fp32.  So
    does every bucket in its first step, and one with an infinity or NaN.
    """

    differs = False

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        self._bounds = {bucket.name: torch.zeros(1, dtype=torch.float64) for bucket in buckets}

    def start(self, bucket: Bucket, communicator: Communicator) -> Run:
        """Begin to replace a bucket by its sum over all ranks."""
        return started(self._send(bucket, communicator))

    def tensors(self) -> dict[str, Tensor]:
        """The bounds of the step before."""
        return {f"compression.bound.{name}": bound for name, bound in self._bounds.items()}

    def gather(self, communicator: Communicator) -> None:
        """Nothing to move: bounds are the same on every rank."""

    def restored(self, rank: int) -> None:
        """Nothing to do: bounds are the same on every rank."""

    def _send(self, bucket: Bucket, communicator: Communicator) -> Run:
        scale = half_scale(float(self._bounds[bucket.name]))
        small = torch.cat((torch.linalg.vector_norm(bucket.gradients, math.inf)[None], bucket.extra))
        half = torch.mul(bucket.gradients, scale, out=torch.empty_like(bucket.gradients, dtype=torch.float16))
        waits = [communicator.start_sum(small, f"{bucket.name}.small")]
        waits.append(communicator.start_sum(half, bucket.name))
        yield
        for wait in waits:
            wait()
        bound = float(small[0])
        self._bounds[bucket.name].fill_(bound)
        if scale and bound * scale <= LARGEST_HALF:
            bucket.gradients.copy_(half).mul_(1 / scale)
        else:
            wait = communicator.start_sum(bucket.gradients, f"{bucket.name}.again")
            yield
            wait()
        bucket.extra.copy_(small[1:])


def half_scale(bound: float) -> float:
    """The power of two that brings a bound close to what fp16 can hold, with room to grow; 0 for no usable bound."""
    if not 0 < bound < math.inf:
        return 0.0
    _, exponent = math.frexp(LARGEST_HALF / HEADROOM / bound)
    return math.ldexp(1.0, min(exponent - 1, LARGEST_EXPONENT))
