"""Ranks that evaluate together: alone, or as threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from dltrain_trainer.evaluation.predict import Predictions

Part = TypeVar("Part")
Result = TypeVar("Result")
DEADLINE = 60


class Alone:
    """The only rank."""

    rank, size = 0, 1

    def sum_integers(self, values: list[int]) -> list[int]:
        return values

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        return list(parts)


class Meeting:
    """Where ranks that are threads leave values for one another; the error of one ends the waiting of all."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._board: list[object] = [None] * size
        self._barrier = threading.Barrier(size, timeout=DEADLINE)

    def all(self, rank: int, value: Part) -> list[Part]:
        """Every rank's value, in the order of the ranks."""
        self._board[rank] = value
        self._barrier.wait()
        values = list(self._board)
        self._barrier.wait()
        return values  # type: ignore[return-value]

    def run(self, rank: int, work: Callable[[ThreadRank], Result]) -> Result:
        """What a rank returns."""
        try:
            return work(ThreadRank(rank, self))
        except BaseException:
            self._barrier.abort()
            raise


@dataclass(frozen=True)
class ThreadRank:
    """One of some ranks."""

    rank: int
    meeting: Meeting

    @property
    def size(self) -> int:
        return self.meeting.size

    def sum_integers(self, values: list[int]) -> list[int]:
        assert all(type(value) is int for value in values), "numpy's integers overflow"
        return [sum(column) for column in zip(*self.meeting.all(self.rank, values), strict=True)]

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        assert len(parts) == self.size
        return [sent[self.rank] for sent in self.meeting.all(self.rank, parts)]


def on_ranks(size: int, work: Callable[[ThreadRank], Result]) -> list[Result]:
    """What each of some ranks returns; an error that is not that of another rank comes first."""
    meeting = Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(meeting.run, rank, work) for rank in range(size)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


def taken(predictions: Predictions, samples: np.ndarray) -> Predictions:
    """Some of the samples."""
    return replace(predictions, outputs=predictions.outputs[samples], targets=predictions.targets[samples])


def shuffled_shares(predictions: Predictions, size: int, seed: int) -> list[Predictions]:
    """The samples shared out at random, in any order; some shares are small, or empty."""
    generator = np.random.default_rng(seed)
    owners = generator.integers(0, size, len(predictions)) * generator.integers(0, 2, len(predictions))
    order = generator.permutation(len(predictions))
    return [taken(predictions, order[owners[order] == rank]) for rank in range(size)]
