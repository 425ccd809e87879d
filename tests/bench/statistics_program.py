"""What each rank of the benchmark `data` runs: principal components of a table, by numpy, by one rank and by two."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI

from dltrain.api.transforms import Transform
from dltrain_trainer.data.samples import Dataset, Feature, Split
from dltrain_trainer.data.team import Alone, MpiTeam, Team
from dltrain_trainer.data.transforms.layout import layout_of
from dltrain_trainer.data.transforms.preprocessing import fit_preprocessing

ROWS, COLUMNS, COMPONENTS = 1_000_000, 100, 20
PCA = Transform.model_validate({"pca": {"components": COMPONENTS}})


def table() -> Dataset:
    """Rows whose columns are related, the same on every rank."""
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(COLUMNS, COLUMNS)).astype(np.float32)
    rows = generator.standard_normal((ROWS, COLUMNS), dtype=np.float32) @ mixing
    split = Split(torch.from_numpy(rows), torch.zeros(ROWS, 1))
    few = Split(split.inputs[:1], split.targets[:1])
    return Dataset(split, None, few, "regression", 1, tuple(Feature(str(index)) for index in range(COLUMNS)))


def by_numpy(dataset: Dataset) -> np.ndarray:
    """The variances along the axes, largest first."""
    values, _ = np.linalg.eigh(np.cov(dataset.train.inputs.numpy(), rowvar=False))
    return values[::-1]


def fitted(dataset: Dataset, team: Team) -> np.ndarray:
    """The axes that a job would get."""
    preprocessing, _ = fit_preprocessing(dataset, layout_of(dataset), (), (PCA,), team)
    return np.array(preprocessing.to_dict()["steps"][0]["axes"])


def timed(work: Callable[[], object], *, by_all: bool) -> float:
    """Seconds of some work, between two moments at which all ranks are there; of rank 0 alone, or by all."""
    MPI.COMM_WORLD.Barrier()
    start = time.perf_counter()
    if by_all or MPI.COMM_WORLD.Get_rank() == 0:
        work()
    MPI.COMM_WORLD.Barrier()
    return time.perf_counter() - start


def main(output: str, rounds: int) -> None:
    """Measure in turns; rank 0 tells."""
    torch.set_num_threads(1)
    dataset, team = table(), MpiTeam(MPI.COMM_WORLD)
    sides: dict[str, tuple[Callable[[], object], bool]] = {
        "numpy": (lambda: by_numpy(dataset), False),
        "one": (lambda: fitted(dataset, Alone()), False),
        "two": (lambda: fitted(dataset, team), True),
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, (work, by_all) in list(sides.items())[:: 1 if number % 2 else -1]:
            seconds = timed(work, by_all=by_all)
            if number:  # the first round warms up
                found[name].append(seconds)
    if team.rank == 0:
        axes = fitted(dataset, Alone())
        projected = (dataset.train.inputs.numpy() - dataset.train.inputs.numpy().mean(0)) @ axes.T
        error = np.abs(projected.var(0, ddof=1) / by_numpy(dataset)[:COMPONENTS] - 1).max()
        Path(output).write_text(json.dumps({**found, "error": float(error)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
