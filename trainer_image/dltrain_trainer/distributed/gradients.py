"""Gradients in a few flat buffers, each summed over the ranks as soon as backward has filled it.

Horovod alone sends one message a parameter and refuses some memory layouts; a flat fp32 buffer a bucket, whose slices
are the gradients themselves, needs no copy, takes any layout, and overlaps with the rest of backward
(Li et al. 2020, "PyTorch Distributed", section 3.2).  Buckets are started in one order, from the model's last layers to
its first, whichever is full first and whether or not a rank has samples: backends that match operations by their order
need it (section 3.2.3 there).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from torch import Tensor, nn

from dltrain_trainer.distributed.bucket import Bucket, grouped
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.distributed.compression import UNCOMPRESSED, Compressor, Run, finish_all
from dltrain_trainer.errors import FinalError
from dltrain_trainer.models.shapes import ModelError

ELEMENTS_PER_MEBIBYTE: Final = 2**20 // 4


class Gradients:
    """The gradients of a model, summed over all ranks.

    A step is: `reset`, as many backward passes as it was told (or none, on a rank without samples), `finish`.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        communicator: Communicator,
        compressor: Compressor = UNCOMPRESSED,
        *,
        bucket_mebibytes: float = 4.0,
    ) -> None:
        """Give every parameter that is trained a gradient of zeros.

        Args:
            parameters: in the model's order, on its device.
            communicator: the other ranks.
            compressor: how gradients travel; as they are by default.
            bucket_mebibytes: what a bucket holds at least, but for the last.

        Raises:
            ModelError: they are not of one real type.
        """
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        check_types(trained)
        groups = grouped(trained, max(1, int(bucket_mebibytes * ELEMENTS_PER_MEBIBYTE)))
        self._buckets = [Bucket(index, group, extra=2 * int(index == 0)) for index, group in enumerate(groups)]
        self._communicator = communicator
        self.waited = 0.0
        """Seconds that steps have waited for other ranks so far, beyond what backward has hidden."""
        self.wish = 0.0
        """What this rank has to say to all others: it is added to theirs, with the gradients of the next step."""
        self.wishes: Tensor | None = None
        """The sum of what all ranks had to say with the last step, a scalar; the same on each."""
        self.on_wait: Callable[[], None] = lambda: None
        """Called in every step when this rank has done its part, and waits for the others."""
        self.compression = compressor(self._buckets)
        self._sends = communicator.size > 1 or compressor is not UNCOMPRESSED
        self._passes = 1
        self._times: Counter[int] = Counter()
        self._waiting: list[int] = []
        self._runs: list[Run] = []
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(partial(self._filled, bucket.index))  # type: ignore[no-untyped-call]
            for bucket in self._buckets
            for parameter in bucket.parameters
        ]

    def close(self) -> None:
        """Let go of the parameters, which keep no gradients: another training may begin."""
        for hook in self._hooks:
            hook.remove()
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.grad = None

    @property
    def flat(self) -> list[Tensor]:
        """All gradients, as one tensor a bucket."""
        return [bucket.gradients for bucket in self._buckets]

    def reset(self, passes: int = 1) -> None:
        """Zero every gradient before the backward passes of a step.

        Args:
            passes: how many there will be; the gradients are added up, and travel during the last.
        """
        for bucket in self._buckets:
            bucket.flat.zero_()
        self._passes = passes
        self._times.clear()
        self._waiting = [len(bucket.parameters) * passes for bucket in self._buckets]
        self._runs = []

    def finish(self, loss: Tensor) -> Tensor:
        """Wait until every gradient is its sum over all ranks.

        Args:
            loss: this rank's share of the loss, a scalar; it travels in the last bucket, at no cost of its own.

        Returns:
            The sum of all ranks' shares, a scalar.
        """
        start = time.perf_counter()
        first = self._buckets[0]
        first.extra[0] = loss.detach()
        first.extra[1] = self.wish
        while len(self._runs) < len(self._buckets):  # a rank without samples, or a parameter without a part in the loss
            self._start_next()
        self.on_wait()
        finish_all(self._runs)
        self.waited += time.perf_counter() - start
        total, self.wishes = first.extra.clone().unbind()
        return total

    def _filled(self, index: int, parameter: Tensor) -> None:
        """A gradient has its value of a pass; start what is complete, but for the bucket that waits for the loss.

        Raises:
            FinalError: it had them all before, so that its bucket may be on its way already.
        """
        self._times[id(parameter)] += 1
        if self._sends and self._times[id(parameter)] > self._passes:
            raise FinalError(
                f"a parameter of shape {tuple(parameter.shape)} gets its gradient in several parts, as those do that "
                "segments of reentrant activation checkpointing share: give torch.utils.checkpoint use_reentrant=False"
            )
        self._waiting[index] -= 1
        while (following := len(self._buckets) - len(self._runs) - 1) > 0 and not self._waiting[following]:
            self._start_next()

    def _start_next(self) -> None:
        bucket = self._buckets[len(self._buckets) - len(self._runs) - 1]
        self._runs.append(self.compression.start(bucket, self._communicator))


def check_types(parameters: Sequence[nn.Parameter]) -> None:
    """See that gradients can be slices of one buffer, which holds the loss, too.

    Raises:
        ModelError: they cannot.
    """
    types = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})
    if len(types) > 1 or any(parameter.is_complex() for parameter in parameters):
        raise ModelError(
            f"spec.pipeline.model: parameters that are trained must all be of one real type, not {', '.join(types)}; "
            "build them as float32, for precision decides what is computed in less"
        )
