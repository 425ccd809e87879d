"""How the gradients of a bucket travel: as they are, or in fewer bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from torch import Tensor

from dltrain_trainer.distributed.bucket import Bucket
from dltrain_trainer.distributed.communicator import Communicator

Run = Iterator[None]
"""A sum over the ranks that is under way: `next` waits for what was sent, and sends what follows from it, if anything
does; at the end the bucket holds the sum."""


ENDED: Final = object()


class Compression(Protocol):
    """How buckets travel, and what must be remembered from one step to the next."""

    differs: bool
    """Whether what is remembered differs between ranks; to `gather` it changes what follows a little."""

    def start(self, bucket: Bucket, communicator: Communicator) -> Run:
        """Begin to replace a bucket by its sum over all ranks; every rank starts the same buckets in the same order."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The state by name; the tensors themselves: write to them to restore a state."""
        ...

    def gather(self, communicator: Communicator) -> None:
        """Move what differs between ranks to rank 0: before its state is saved.  Every rank calls it."""
        ...

    def restored(self, rank: int) -> None:
        """Take over a state that was rank 0's: on each rank, once `tensors` holds it."""
        ...


class Stateless:
    """What has nothing to remember."""

    differs = False

    def __init__(self, sending: Callable[[Bucket, Communicator], Run]) -> None:
        self._sending = sending

    def start(self, bucket: Bucket, communicator: Communicator) -> Run:
        """Begin to replace a bucket by its sum over all ranks."""
        return started(self._sending(bucket, communicator))

    def tensors(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def gather(self, communicator: Communicator) -> None:
        """Nothing to move."""

    def restored(self, rank: int) -> None:
        """Nothing to take over."""


def as_it_is(bucket: Bucket, communicator: Communicator) -> Run:
    """Send a bucket in fp32."""
    wait = communicator.start_sum(bucket.flat, bucket.name)
    yield
    wait()


def in_bf16(bucket: Bucket, communicator: Communicator) -> Run:
    """Send a bucket in bf16: the range of fp32, 8 bits of precision; what is extra stays exact."""
    half = bucket.gradients.bfloat16()
    waits = [communicator.start_sum(half, bucket.name)]
    if len(bucket.extra):
        waits.append(communicator.start_sum(bucket.extra, f"{bucket.name}.extra"))
    yield
    for wait in waits:
        wait()
    bucket.gradients.copy_(half)


Compressor = Callable[[Sequence[Bucket]], Compression]
"""The buckets of a model -> how they travel."""

UNCOMPRESSED: Final[Compressor] = lambda _buckets: Stateless(as_it_is)  # noqa: E731 - typed, as the others are
BF16: Final[Compressor] = lambda _buckets: Stateless(in_bf16)  # noqa: E731


def started(run: Run) -> Run:
    """A run that has sent what it sends first."""
    next(run)
    return run


def finish_all(runs: Sequence[Run]) -> None:
    """Bring runs to their end, all of them one step further at a time: what they send next overlaps."""
    left = list(runs)
    while left:
        left = [run for run in left if next(run, ENDED) is not ENDED]
