"""Ranks as threads of this process: a communicator whose collectives are what the seam promises."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from dltrain_trainer.distributed.communicator import Wait
from dltrain_trainer.distributed.single import SingleCommunicator

Result = TypeVar("Result")
ALONE = SingleCommunicator()
"""The only rank of a job."""
DEADLINE = 60


class LeftAloneError(Exception):
    """Another rank has failed, so that this one waits in vain."""


class Meeting:
    """Where ranks leave values for one another; the error of one ends the waiting of all."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._changed = threading.Condition()
        self._left: dict[tuple[str, int], dict[int, Any]] = {}
        self._failed = False

    def leave(self, key: tuple[str, int], rank: int, value: Any) -> None:
        with self._changed:
            self._left.setdefault(key, {})[rank] = value
            self._changed.notify_all()

    def all(self, key: tuple[str, int]) -> list[Any]:
        """Every rank's value, in the order of the ranks, once all have left theirs."""
        with self._changed:
            done = self._changed.wait_for(lambda: self._failed or len(self._left.get(key, {})) == self.size, DEADLINE)
            assert done, f"{key} is late"
            if len(self._left.get(key, {})) < self.size:
                raise LeftAloneError
            return [self._left[key][rank] for rank in range(self.size)]

    def of(self, key: tuple[str, int], rank: int) -> Any:
        """One rank's value, once it has left it."""
        with self._changed:
            done = self._changed.wait_for(lambda: self._failed or rank in self._left.get(key, {}), DEADLINE)
            assert done, f"{key} is late"
            if rank not in self._left[key]:
                raise LeftAloneError
            return self._left[key][rank]

    def run(self, rank: int, work: Callable[[ThreadCommunicator], Result]) -> Result:
        """What a rank returns."""
        try:
            return work(ThreadCommunicator(rank, self))
        except BaseException:
            with self._changed:
                self._failed = True
                self._changed.notify_all()
            raise


@dataclass
class ThreadCommunicator:
    """One rank; sums are taken in the order of the ranks, so they are the same on each."""

    rank: int
    meeting: Meeting
    size: int = field(init=False)
    local_rank: int = field(init=False)
    _calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.size = self.meeting.size
        self.local_rank = self.rank

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        key = self._leave(f"sum {name}", tensor.clone())

        def wait() -> None:
            tensor.copy_(torch.stack(self.meeting.all(key)).sum(0))

        return wait

    def broadcast(self, tensor: Tensor, name: str, root: int = 0) -> None:
        with torch.no_grad():
            tensor.copy_(self.meeting.all(self._leave(f"broadcast {name}", tensor.detach().clone()))[root])

    def sum_integers(self, values: list[int]) -> list[int]:
        assert all(type(value) is int for value in values), "numpy's integers overflow"
        gathered = self.meeting.all(self._leave("integers", values))
        return [sum(column) for column in zip(*gathered, strict=True)]

    def from_first(self, value: int) -> int:
        return int(self.meeting.all(self._leave("first", value))[0])

    def exchange(self, parts: Sequence[Any]) -> list[Any]:
        return [each[self.rank] for each in self.gather(list(parts))]

    @property
    def team(self) -> ThreadCommunicator:
        return self

    def gather(self, values: Any) -> list[Any]:
        return self.meeting.all(self._leave("gather", values))

    def sum(self, values: Any) -> Any:
        return np.sum(self.gather(np.array(values)), axis=0)

    def first(self, value: Any) -> Any:
        return self.gather(value)[0]

    def swap(self, values: Any, partner: int) -> Any:
        low, high = sorted((self.rank, partner))
        self._calls[f"swap {low} {high}"] += 1
        key = f"swap {low} {high}", self._calls[f"swap {low} {high}"]
        self.meeting.leave(key, self.rank, values)
        return self.meeting.of(key, partner)

    def barrier(self) -> None:
        self.meeting.all(self._leave("barrier", None))

    def rest(self) -> None:
        self.barrier()

    def close(self) -> None:
        self.barrier()

    def _leave(self, name: str, value: Any) -> tuple[str, int]:
        self._calls[name] += 1
        key = name, self._calls[name]
        self.meeting.leave(key, self.rank, value)
        return key


def on_ranks(size: int, work: Callable[[ThreadCommunicator], Result]) -> list[Result]:
    """What each of some ranks returns; an error that is not that of another rank comes first."""
    meeting = Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(meeting.run, rank, work) for rank in range(size)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, LeftAloneError)):
        raise error
    return [future.result() for future in futures]
