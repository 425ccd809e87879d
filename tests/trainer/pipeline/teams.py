"""Teams of ranks in threads: the same collectives as MPI's, with errors and deadlines that reach the test."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DEADLINE_SECONDS = 30


@dataclass
class Table:
    """Where the ranks of one team put what they have."""

    size: int
    values: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=DEADLINE_SECONDS)


@dataclass
class ThreadTeam:
    """A rank of a team in threads."""

    rank: int
    table: Table

    @property
    def size(self) -> int:
        return self.table.size

    def gather(self, values: Any) -> list[Any]:
        self.table.values[self.rank] = values
        self.table.barrier.wait()
        found = [self.table.values[rank] for rank in range(self.size)]
        self.table.barrier.wait()
        return found

    def sum(self, values: Any) -> Any:
        return np.sum(self.gather(np.array(values)), axis=0)

    def first(self, value: Any) -> Any:
        return self.gather(value)[0]


def on_ranks(size: int, work: Callable[[ThreadTeam], Any]) -> list[Any]:
    """What each rank of a team of a size makes of the same work."""
    table = Table(size)
    with ThreadPoolExecutor(size) as pool:
        return [
            task.result(DEADLINE_SECONDS) for task in [pool.submit(work, ThreadTeam(r, table)) for r in range(size)]
        ]
