"""Gradients in a few flat buffers, each summed over the ranks as soon as backward has filled it.

Horovod alone sends one message a parameter and refuses some memory layouts; a flat fp32 buffer a bucket, whose slices
are the gradients themselves, needs no copy, takes any layout, and overlaps with the rest of backward
(Li et al. 2020, "PyTorch Distributed", section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from dltrain_trainer.distributed.communicator import Communicator, Wait

BUCKET_ELEMENTS: Final = 1_000_000
"""fp32 values a bucket holds at least, but for the last: 4 MB travel well and leave something to overlap."""


class Bucket:
    """A flat buffer whose slices are the gradients of some parameters."""

    def __init__(self, name: str, parameters: Sequence[nn.Parameter], extra: int) -> None:
        self.name, self.parameters = name, parameters
        length = sum(parameter.numel() for parameter in parameters) + extra
        self.flat = torch.zeros(length, device=parameters[0].device)
        self.waiting = len(parameters)

    def attach(self) -> None:
        """Make each parameter's gradient a slice of the buffer, in the parameter's own memory layout."""
        start = 0
        for parameter in self.parameters:
            slice_ = self.flat[start : start + parameter.numel()]
            parameter.grad = torch.as_strided(slice_, parameter.shape, parameter.stride())
            start += parameter.numel()


class GradientBuckets:
    """The gradients of a model, summed over all ranks.

    Per step: `reset`, backward (or none, on a rank without samples), `finish(loss)`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], communicator: Communicator) -> None:
        self._communicator = communicator
        self._waits: list[Wait] = []
        self._buckets = [
            Bucket(f"gradients.{index}", group, extra=int(index == 0))
            for index, group in enumerate(grouped(list(parameters)))
        ]
        self._owner = {parameter: bucket for bucket in self._buckets for parameter in bucket.parameters}
        for parameter, bucket in self._owner.items():
            bucket.attach()
            parameter.register_post_accumulate_grad_hook(self._on_gradient)  # type: ignore[no-untyped-call]

    def reset(self) -> None:
        """Zero every gradient before a backward pass."""
        for bucket in self._buckets:
            bucket.flat.zero_()
            bucket.waiting = len(bucket.parameters)
        self._waits = []

    def finish(self, loss: Tensor) -> Tensor:
        """Wait until every gradient is its sum over all ranks.

        Args:
            loss: this rank's share of the loss, a scalar; it travels in the last bucket, at no cost of its own.

        Returns:
            The sum of all ranks' shares, a scalar.
        """
        for bucket in reversed(self._buckets[1:]):
            if bucket.waiting:  # a rank without samples, or a parameter that the loss does not depend on
                self._start(bucket)
        last = self._buckets[0]
        last.flat[-1] = loss.detach()
        self._start(last)
        for wait in self._waits:
            wait()
        return last.flat[-1].clone()

    def _on_gradient(self, parameter: Tensor) -> None:
        bucket = self._owner[parameter]  # type: ignore[index]  # the hook is only on parameters
        bucket.waiting -= 1
        if not bucket.waiting and bucket is not self._buckets[0]:
            self._start(bucket)

    def _start(self, bucket: Bucket) -> None:
        self._waits.append(self._communicator.start_sum(bucket.flat, bucket.name))


def grouped(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters in groups of about a bucket's size, the model's first layers in the first: backward fills it last."""
    groups: list[list[nn.Parameter]] = [[]]
    size = 0
    for parameter in parameters:
        if size >= BUCKET_ELEMENTS:
            groups.append([])
            size = 0
        groups[-1].append(parameter)
        size += parameter.numel()
    return groups
