"""What each rank of test_mpi.py runs: measures a shuffled share, and rank 0 writes the artefacts to a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mpi4py import MPI

from dltrain.api.evaluate import Evaluate, metrics_for
from dltrain_trainer.evaluation.measure import artefacts, measure
from tests.trainer.metrics.builders import of_task
from tests.trainer.metrics.ranks import shuffled_shares

Part = TypeVar("Part")


class MpiRanks:
    """The ranks that mpirun has started."""

    rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size

    def sum_integers(self, values: list[int]) -> list[int]:
        return [sum(column) for column in zip(*MPI.COMM_WORLD.allgather(values), strict=True)]

    def exchange(self, parts: Sequence[Part]) -> list[Part]:
        return MPI.COMM_WORLD.alltoall(parts)


def main(folder: Path) -> None:
    ranks = MpiRanks()
    for task in ("classification", "multilabel", "regression"):
        share = shuffled_shares(of_task(task, 3000), ranks.size, seed=ranks.size)[ranks.rank]
        measured = measure(share, Evaluate(metrics=metrics_for(task)), ranks)
        if ranks.rank == 0:
            for name, content in artefacts(measured).items():
                (folder / f"{task}-{name}").write_bytes(content)


main(Path(sys.argv[1]))
