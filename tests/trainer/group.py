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

Result = TypeVar("Result")
DEADLINE = 60


class Meeting:
    """Where ranks leave values for one another."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._changed = threading.Condition()
        self._left: dict[tuple[str, int], dict[int, Any]] = {}

    def leave(self, key: tuple[str, int], rank: int, value: Any) -> None:
        with self._changed:
            self._left.setdefault(key, {})[rank] = value
            self._changed.notify_all()

    def all(self, key: tuple[str, int]) -> list[Any]:
        """Every rank's value, in the order of the ranks, once all have left theirs."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._left.get(key, {})) == self.size, DEADLINE), f"{key} is late"
            return [self._left[key][rank] for rank in range(self.size)]


@dataclass
class ThreadCommunicator:
    """One rank; sums are taken in the order of the ranks, so they are the same on each."""

    rank: int
    meeting: Meeting
    _calls: Counter[str] = field(default_factory=Counter)

    @property
    def size(self) -> int:
        return self.meeting.size

    @property
    def local_rank(self) -> int:
        return self.rank

    def start_sum(self, tensor: Tensor, name: str) -> Wait:
        key = self._leave(f"sum {name}", tensor.clone())

        def wait() -> None:
            tensor.copy_(torch.stack(self.meeting.all(key)).sum(0))

        return wait

    def broadcast(self, tensor: Tensor, name: str) -> None:
        with torch.no_grad():
            tensor.copy_(self.meeting.all(self._leave(f"broadcast {name}", tensor.detach().clone()))[0])

    def sum_integers(self, values: list[int]) -> list[int]:
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

    def barrier(self) -> None:
        self.meeting.all(self._leave("barrier", None))

    def close(self) -> None:
        self.barrier()

    def _leave(self, name: str, value: Any) -> tuple[str, int]:
        self._calls[name] += 1
        key = name, self._calls[name]
        self.meeting.leave(key, self.rank, value)
        return key


def on_ranks(size: int, work: Callable[[ThreadCommunicator], Result]) -> list[Result]:
    """What each of some ranks returns."""
    meeting = Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, [ThreadCommunicator(rank, meeting) for rank in range(size)]))
