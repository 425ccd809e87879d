"""Runs of ours and of a peer, taking turns, so that both see the same machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.bench.failure import BenchFailure

CHOICE: Final = "BENCH_PAIRS"
DEFAULT: Final = 7
"""Enough for a confidence interval of the median."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Values of runs; those of one index were measured one after the other."""

    ours: list[float] = field(default_factory=list)
    peers: list[float] = field(default_factory=list)


def wanted(choice: str) -> int:
    """How many pairs count, by what the environment says.

    Raises:
        BenchFailure: it is no such number.
    """
    if choice and not (choice.isdecimal() and int(choice) > 0):
        raise BenchFailure(f"{CHOICE}: must be a whole number from 1 (got {choice}); {DEFAULT} without it")
    return int(choice or DEFAULT)


PAIRS: Final = wanted(os.environ.get(CHOICE, ""))
"""How many count; fewer than six have no confidence interval."""


def alternating(
    what: str, ours: Callable[[], float], peer: Callable[[], float], *, pairs: int = PAIRS, warm_up: bool = True
) -> Pairs:
    """Measure both in turns, each pair in the reverse order of the one before.

    Args:
        what: is measured, for the reader of standard error.
        ours: one run of ours; its value.
        peer: one run of the peer; its value.
        pairs: how many count.
        warm_up: whether a pair is run before, and not counted.
    """
    found = Pairs()
    sides = [(ours, found.ours), (peer, found.peers)]
    if warm_up:
        for side, _ in sides:
            side()
    for number in range(pairs):
        for side, values in sides if number % 2 == 0 else sides[::-1]:
            values.append(side())
        print(f"{what}, pair {number + 1}: {found.ours[-1]:.4g}, peer {found.peers[-1]:.4g}", file=sys.stderr)
    return found


def seconds_of(work: Callable[[], object]) -> Callable[[], float]:
    """A run whose value is how long some work takes."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run
