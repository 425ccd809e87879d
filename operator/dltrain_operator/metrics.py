"""What Prometheus is told of the operator; no label names a job (see job_metrics.py for those that may)."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dltrain.api.status import FailureReason, Phase
from dltrain_operator.job_metrics import JobMetrics
from dltrain_operator.records import JobRecord

PHASES: Final[tuple[Phase, ...]] = (
    "Pending",
    "Starting",
    "Running",
    "Restarting",
    "Suspended",
    "Succeeded",
    "Failed",
)
STEP_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ERRORS: Final = ("UnavailableError", "ClusterError", "defect")
MILESTONES: Final = ("accepted", "running", "first_step", "complete")
"""What a job passes on its way."""
CLASSES: Final = ("user", "infrastructure")
ENDS: Final = (("succeeded", "Completed"), *(("failed", reason) for reason in get_args(FailureReason)))
"""How a job may end: outcome and reason."""
LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LIFE_BUCKETS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 604800)


class Metrics:
    """All families; docs/metrics.md lists them."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.leader = Gauge("dltrain_leader", "1 while this operator leads, 0 while it stands by.", registry=registry)
        self.created = Counter("dltrain_jobs_created", "Jobs seen for the first time.", registry=registry)
        self.finished = Counter(
            "dltrain_jobs_finished", "Jobs that ended, by outcome and reason.", ["outcome", "reason"], registry=registry
        )
        self.restarts = Counter(
            "dltrain_restarts", "Restarts: of all ranks after an error (user), of lost pods (infrastructure).",
            ["class"], registry=registry,
        )  # fmt: skip
        self.latency = Histogram(
            "dltrain_job_latency_seconds",
            "From a job's creation to its milestones; jobs that were ever suspended are not counted.",
            ["milestone"], registry=registry, buckets=LIFE_BUCKETS,
        )  # fmt: skip
        self.steps = Histogram(
            "dltrain_reconcile_seconds", "How long one look at a job takes, requests included.",
            registry=registry, buckets=STEP_BUCKETS,
        )  # fmt: skip
        self.errors = Counter("dltrain_reconcile_errors", "Looks that failed.", ["error"], registry=registry)
        self.requests = Counter(
            "dltrain_api_requests", "Requests to the Kubernetes API, watches apart; code 0: no answer.",
            ["verb", "resource", "code"], registry=registry,
        )  # fmt: skip
        self.lag = Histogram(
            "dltrain_watch_lag_seconds", "From the answer to a write of a job's status to its watch event.",
            registry=registry, buckets=LAG_BUCKETS,
        )  # fmt: skip
        self.allocated = Counter("dltrain_gpu_allocated_seconds", "GPU time that worker pods held.", registry=registry)
        self.productive = Counter(
            "dltrain_gpu_productive_seconds", "GPU time of training steps that no restart undid.", registry=registry
        )

        for counter, values in ((self.errors, ERRORS), (self.restarts, CLASSES), (self.latency, MILESTONES)):
            for known in values:
                counter.labels(known)  # from 0 on, so that the first of them is an increase too
        for end in ENDS:
            self.finished.labels(*end)

    def count_request(self, verb: str, resource: str, code: int) -> None:
        """Count a request to the API."""
        self.requests.labels(verb, resource, str(code)).inc()

    def show(self, phases: Callable[[], Iterable[str]], queued: Callable[[], int]) -> None:
        """Tell, with each reading, what is counted then and not before.

        Args:
            phases: the phase of every job.
            queued: how many jobs wait to be looked at.
        """
        self.registry.register(Present(phases, queued))

    def show_jobs(self, jobs: Callable[[], Iterable[JobRecord]], limit: int) -> None:
        """Tell of single jobs, too.

        Args:
            jobs: all that exist.
            limit: how many are told at most; 0 for none.
        """
        self.registry.register(JobMetrics(jobs, limit))

    def page(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


class Present(Collector):
    """What is read from the cache and the queue at the moment of a reading."""

    def __init__(self, phases: Callable[[], Iterable[str]], queued: Callable[[], int]) -> None:
        self._phases, self._queued = phases, queued

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families."""
        jobs = GaugeMetricFamily("dltrain_jobs", "Jobs that exist, by phase.", labels=["phase"])
        for phase, count in by_phase(self._phases()).items():
            jobs.add_metric([phase], count)
        yield jobs
        yield GaugeMetricFamily("dltrain_queue_depth", "Jobs that wait to be looked at.", value=self._queued())


def by_phase(phases: Iterable[str]) -> Mapping[str, int]:
    """How many jobs are in each phase, the phases without jobs included; a job without one is new: Pending."""
    counts = Tally(phase or "Pending" for phase in phases)
    return {phase: counts[phase] for phase in PHASES}
