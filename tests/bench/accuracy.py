"""What the shipped examples reach on their test splits, run as anybody runs them, beside simple baselines.

BENCH_EXAMPLES=04-fast-fashion-cnn,06-breast-cancer runs only those; without it all are run, which takes hours without a
GPU: most of it for ResNet-18.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from dltrain.api.pipeline import Pipeline
from dltrain.overrides import load_job
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.samples import Split
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure, Target, single
from tests.e2e.live import EXAMPLES as FOLDER

CHOICE: Final = "BENCH_EXAMPLES"
CYCLE: Final = 11
"""Years of a cycle of the sun."""
FAST_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Reached:
    """What a run of an example has left."""

    metrics: Mapping[str, float]
    seconds: float
    """From the command to its end: start-up, evaluation and report included."""


@dataclass(frozen=True, slots=True)
class Example:
    """An example, and what is held against it."""

    minutes: float
    """About how long it takes on two cores without a GPU."""
    judge: Callable[[str, Pipeline, Reached], Iterator[Figure]]
    """From its name, its job and what it has reached to figures."""


# ---------------------------------------------------------------- judges
def at_least(metric: str, limit: float) -> Callable[[str, Pipeline, Reached], Iterator[Figure]]:
    """A judge: the metric reaches a limit."""

    def judge(name: str, _: Pipeline, reached: Reached) -> Iterator[Figure]:
        target, note = Target(limit, ">="), f"in {reached.seconds:.1f} s"
        yield single(f"accuracy/{name}/{metric}", "", reached.metrics[metric], target=target, note=note)

    return judge


def fast(name: str, pipeline: Pipeline, reached: Reached) -> Iterator[Figure]:
    """A judge: the accuracy, and the time from the command to its end."""
    yield from at_least("accuracy", 0.90)(name, pipeline, reached)
    target, note = Target(FAST_SECONDS), "from the command to its end, start-up and report included"
    yield single(f"accuracy/{name}/seconds", "s", reached.seconds, target=target, note=note)


def beside_naive(name: str, pipeline: Pipeline, reached: Reached) -> Iterator[Figure]:
    """A judge: errors below those of "as a cycle ago"."""
    test = load_data(pipeline.data).dataset.test
    for metric, peer in seasonal_errors(test).items():
        note = f"peer: the value of {CYCLE} years before; {len(test)} windows"
        target = Target(1, of="ratio")
        yield single(f"accuracy/{name}/{metric}", "", reached.metrics[metric], peer=peer, target=target, note=note)


def beside_ridge(name: str, pipeline: Pipeline, reached: Reached) -> Iterator[Figure]:
    """A judge: R2 is that of scikit-learn's ridge regression with the same penalty."""
    dataset = load_data(pipeline.data).dataset
    peer = ridge_r2(dataset.train, dataset.test, pipeline.train.regularization.l2)
    note = f"absolute; R2 {reached.metrics['r2']:.4f}, scikit-learn's Ridge with the same penalty {peer:.4f}"
    difference = abs(reached.metrics["r2"] - peer)
    yield single(f"accuracy/{name}/difference-from-ridge", "", difference, target=Target(0.01), note=note)


EXAMPLES: Final[Mapping[str, Example]] = {
    "01-fashion-cnn": Example(1, at_least("accuracy", 0.88)),
    "02-fashion-resnet18": Example(200, at_least("accuracy", 0.94)),
    "04-fast-fashion-cnn": Example(1, fast),
    "05-sunspots-forecast": Example(0.3, beside_naive),
    "06-breast-cancer": Example(0.3, at_least("rocAuc", 0.99)),
    "07-diabetes-ridge": Example(0.3, beside_ridge),
    "08-fashion-lstm": Example(5, at_least("accuracy", 0.88)),
    "09-accurate-fashion-cnn": Example(6, at_least("accuracy", 0.925)),
    "10-compress-resnet18": Example(300, at_least("accuracy", 0.935)),
}


# ---------------------------------------------------------------- baselines
def seasonal_errors(test: Split) -> dict[str, float]:
    """The errors of forecasting each year as the year a cycle before; by metric.

    Args:
        test: windows of at least a cycle, of one column; at most a cycle is forecast.
    """
    targets = test.targets.numpy().astype(np.float64)
    start = test.inputs.shape[1] - CYCLE
    forecast = test.inputs[:, start : start + targets.shape[1], 0].numpy().astype(np.float64)
    errors = forecast - targets
    return {"mae": float(np.abs(errors).mean()), "mse": float((errors**2).mean())}


def ridge_r2(train: Split, test: Split, l2: float) -> float:
    """R2 of scikit-learn's ridge regression on standardised columns.

    A job adds half of l2 times the squared weights to the mean of the squared errors, scikit-learn alpha times them to
    their sum.
    """
    scaler = StandardScaler().fit(train.inputs.numpy().astype(np.float64))
    inputs, held_out = (scaler.transform(split.inputs.numpy().astype(np.float64)) for split in (train, test))
    model = Ridge(alpha=l2 * len(train) / 2).fit(inputs, train.targets.numpy())
    return float(r2_score(test.targets.numpy(), model.predict(held_out)))


# ---------------------------------------------------------------- running
def prepare() -> tuple[str, ...]:
    """The examples that are wanted."""
    names = chosen(os.environ.get(CHOICE, ""))
    minutes = sum(EXAMPLES[name].minutes for name in names)
    print(f"{', '.join(names)}: about {minutes:.0f} minutes on two cores without a GPU; {CHOICE} chooses", flush=True)
    return names


def chosen(names: str) -> tuple[str, ...]:
    """The examples that a list names; all for none.

    Raises:
        BenchFailure: one is unknown.
    """
    wanted = tuple(name.strip() for name in names.split(",") if name.strip()) or tuple(EXAMPLES)
    if unknown := [name for name in wanted if name not in EXAMPLES]:
        raise BenchFailure(f"{CHOICE}: no such example: {', '.join(unknown)}; choose from {', '.join(EXAMPLES)}")
    return wanted


def run(names: tuple[str, ...]) -> Iterator[Figure]:
    """Run and judge them, the shortest first."""
    for name in sorted(names, key=lambda name: EXAMPLES[name].minutes):
        job = FOLDER / name / "job.yaml"
        pipeline = load_job(job).spec.pipeline
        assert pipeline is not None, "an example with metrics has a pipeline"
        yield from EXAMPLES[name].judge(name, pipeline, reach(job))


def reach(job: Path) -> Reached:
    """Run a job on this machine.

    Raises:
        BenchFailure: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="dltrain-bench-") as folder:
        start = time.monotonic()
        command = [sys.executable, "-m", "dltrain", "run", str(job), "--quiet", "--output-dir", folder]
        code = subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode
        seconds = time.monotonic() - start
        if code:
            raise BenchFailure(f"{job.parent.name} failed with exit code {code}")
        metrics = json.loads(Path(folder, "results.json").read_text())["metrics"]
    return Reached(metrics, seconds)
