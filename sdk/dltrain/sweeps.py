"""Many variants of a job, a bounded number at a time, and which of them was best."""

from __future__ import annotations

import html
import itertools
import math
import random as randomness
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.api.status import Results
from dltrain.api.wording import location_of
from dltrain.errors import DLTrainError, JobFailedError, Problem, SpecError, WaitTimeoutError
from dltrain.formatting import metric_text
from dltrain.overrides import put

if TYPE_CHECKING:
    from dltrain.client import Client

Point = Mapping[str, Any]
"""Path -> value, as in `{"spec.pipeline.train.optimizer.lr": 0.1}`."""
Run = Callable[[DLTrainJob], Results]
"""What runs one job to its end and returns what it produced."""
RECOVERABLE: Final = (JobFailedError, WaitTimeoutError)
"""What ends one trial and not the sweep."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any number of a range, each as likely as another; by powers with `log`."""

    low: float
    high: float
    log: bool = False

    def draw(self, source: randomness.Random) -> float:
        """One number of it."""
        if self.log:
            return math.exp(source.uniform(math.log(self.low), math.log(self.high)))
        return source.uniform(self.low, self.high)


def grid(fields: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of values.

    Args:
        fields: path -> the values to try.
    """
    return [dict(zip(fields, values, strict=True)) for values in itertools.product(*fields.values())]


def random(fields: Mapping[str, Sequence[Any] | Uniform], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Points drawn at random; the same for the same seed.

    Args:
        fields: path -> the values or the range to draw from.
        count: how many.
        seed: of the generator.
    """
    source = randomness.Random(seed)  # noqa: S311 - no secret is made of it

    def draw(values: Sequence[Any] | Uniform) -> Any:
        return values.draw(source) if isinstance(values, Uniform) else source.choice(values)

    return [{path: draw(values) for path, values in fields.items()} for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant and what became of it."""

    name: str
    """The job's."""
    point: Point
    results: Results | None = None
    error: str = ""
    """Why it has no results; empty where it has."""

    def value(self, metric: str) -> float | None:
        """A metric, if it was measured."""
        return None if self.results is None else self.results.metrics.get(metric)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The trials of a sweep, best first, those without the metric last."""

    metric: str
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The best trial.

        Raises:
            JobFailedError: no trial has measured the metric.
        """
        first = self.trials[0]
        if first.value(self.metric) is None:
            known = sorted(first.results.metrics) if first.results else []
            raise JobFailedError(
                first.name, first.error or f"no trial has measured {self.metric}, but {', '.join(known) or 'nothing'}"
            )
        return first

    def rows(self) -> list[tuple[str, ...]]:
        """The table: head, then a row a trial."""
        paths = list(dict.fromkeys(path for trial in self.trials for path in trial.point))
        head = ("JOB", *(path.removeprefix("spec.") for path in paths), self.metric)
        return [head, *(self._row(trial, paths) for trial in self.trials)]

    def _row(self, trial: Trial, paths: Sequence[str]) -> tuple[str, ...]:
        value = trial.value(self.metric)
        shown = trial.error or "not measured" if value is None else metric_text(value)
        return (trial.name, *(short(trial.point.get(path, "")) for path in paths), shown)

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        head, *rows = self.rows()
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def short(value: Any) -> str:
    """A value as a table shows it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def variants(job: DLTrainJob, points: Sequence[Point]) -> list[DLTrainJob]:
    """The jobs that points make of one job, named after it.

    Raises:
        SpecError: a path is none of the job's, or a value does not fit; holds the problems of all points.
    """
    made: list[DLTrainJob] = []
    problems: list[Problem] = []
    for number, point in enumerate(points):
        document = job.to_manifest()
        document["metadata"] = {**document["metadata"], "name": f"{job.name[:47].rstrip('-')}-{number}"}
        document["metadata"].pop("generateName", None)
        try:
            for path, value in point.items():
                put(document, location_of(path), value, path)
            made.append(parse_job(document))
        except SpecError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(Problem(path, str(error), remedy="write spec.FIELD"))
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return made


def sweep(  # noqa: PLR0913 - each is the caller's choice
    job: DLTrainJob,
    points: Sequence[Point],
    run: Run | Client | None = None,
    *,
    metric: str = "accuracy",
    mode: Literal["max", "min"] = "max",
    parallelism: int = 2,
) -> SweepResult:
    """Run every variant of a job and compare them; one that fails is a row of the table and not the end.

    Args:
        job: what the variants are of.
        points: what `grid` or `random` make.
        run: runs one job; or the client of a cluster; by default the one that the kubeconfig names.
        metric: by which variants are compared.
        mode: whether a high or a low metric is better.
        parallelism: how many run at a time.

    Raises:
        SpecError: a variant is not valid, before anything runs.
        ClusterError: the cluster refuses, or is out of reach.
    """
    jobs = variants(job, points)
    chosen = run if callable(run) else on_cluster(run)
    with ThreadPoolExecutor(parallelism) as pool:
        trials = list(pool.map(lambda pair: trial(pair[0], pair[1], chosen), zip(jobs, points, strict=True)))
    sign = -1.0 if mode == "max" else 1.0
    return SweepResult(metric, tuple(sorted(trials, key=lambda each: rank(each.value(metric), sign))))


def rank(value: float | None, sign: float) -> float:
    """Where a value comes in the table; what was not measured, or is no number, comes last."""
    return math.inf if value is None or math.isnan(value) else sign * value


def trial(job: DLTrainJob, point: Point, run: Run) -> Trial:
    """Run one variant."""
    try:
        return Trial(job.name, point, run(job))
    except RECOVERABLE as error:
        return Trial(job.name, point, error=first_line(error))


def first_line(error: DLTrainError) -> str:
    """An error's first line."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def on_cluster(client: Client | None) -> Run:
    """What submits a job and waits for its results."""
    if client is None:
        from dltrain.client import Client  # noqa: PLC0415 - a sweep on this machine needs no cluster's library

        client = Client()
    known: Client = client
    return lambda job: known.result(known.submit(job).name)
