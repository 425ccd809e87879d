"""What Prometheus is told of single jobs that run, where the operator may name them: bounded, and off by default.

Their number is bounded by a limit, not by the cluster: which jobs are told is by namespace and name, so that series do
not come and go with the order of things.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dltrain_operator.records import JobRecord

TOLD: Final = frozenset({"Starting", "Running", "Restarting"})
"""The phases of jobs that are told."""
JOB: Final = ("job_namespace", "job_name")
"""Not namespace and job: those are the scrape's own."""
Status = Mapping[str, Any]
Sample = tuple[tuple[str, ...], float]
"""The values of labels beyond JOB, and the number."""


def number_at(*path: str) -> Callable[[Status], Iterator[Sample]]:
    """A reader of one number of a status; nothing where it is absent."""

    def read(status: Status) -> Iterator[Sample]:
        found: Any = status
        for name in path:
            found = found.get(name, {}) if isinstance(found, dict) else {}
        if isinstance(found, int | float):
            yield (), float(found)

    return read


def parts_of(*path: str, names: tuple[str, ...]) -> Callable[[Status], Iterator[Sample]]:
    """A reader of some numbers side by side, each with its name as a label."""
    readers = {name: number_at(*path, name) for name in names}
    return lambda status: (((name,), value) for name, read in readers.items() for _, value in read(status))


FAMILIES: Final[tuple[tuple[str, str, tuple[str, ...], Callable[[Status], Iterator[Sample]]], ...]] = (
    ("loss", "The training loss of the newest step reported.", (), number_at("progress", "loss")),
    ("samples_per_second", "Throughput of all ranks.", (), number_at("progress", "samplesPerSecond")),
    ("step", "Optimizer steps done.", (), number_at("progress", "step")),
    ("steps", "Optimizer steps in all.", (), number_at("progress", "steps")),
    (
        "time_share",
        "Where the time of rank 0 goes.",
        ("part",),
        parts_of("progress", "timeSplit", names=("compute", "communication", "data")),
    ),
    (
        "restarts",
        "Restarts so far: of all ranks after an error (user), of lost pods (infrastructure).",
        ("class",),
        parts_of("restarts", names=("user", "infrastructure")),
    ),
    ("checkpoint_step", "Optimizer steps in the newest checkpoint.", (), number_at("checkpoint", "step")),
    ("workers_desired", "Workers that the job asks for.", (), number_at("workers", "desired")),
    ("workers_ready", "Workers that are ready.", (), number_at("workers", "ready")),
)
"""Name after dltrain_job_, help, further labels, how it is read from a status."""


class JobMetrics(Collector):
    """Reads jobs at the moment of a reading."""

    def __init__(self, jobs: Callable[[], Iterable[JobRecord]], limit: int) -> None:
        """Nothing is read yet.

        Args:
            jobs: all that exist.
            limit: how many are told at most; 0 for none.
        """
        self._jobs, self._limit = jobs, limit

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families; none with a limit of 0."""
        if self._limit == 0:
            return
        active = sorted((job for job in self._jobs() if job.phase in TOLD), key=lambda job: job.key)
        told = [(job.key, job.load()["status"]) for job in itertools.islice(active, self._limit)]
        for name, text, labels, read in FAMILIES:
            family = GaugeMetricFamily(f"dltrain_job_{name}", text, labels=[*JOB, *labels])
            for key, status in told:
                for values, number in read(status):
                    family.add_metric([*key, *values], number)
            yield family
        left = max(0, len(active) - self._limit)
        yield GaugeMetricFamily("dltrain_jobs_untold", "Jobs that run beyond the limit of jobs told.", value=left)
