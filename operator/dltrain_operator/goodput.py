"""Goodput: how much of the GPU time that jobs hold goes into training steps that count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain_operator.metrics import Metrics
from dltrain_operator.records import JobKey, PodRecord


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one job's GPU time."""

    job: str
    """Its uid."""
    looked_at: datetime
    gpus: int
    """How many GPUs its pods have held since then."""
    step: int = 0
    """The highest training step ever reported."""
    reported_at: datetime | None = None
    """When the newest step of the training was reported."""


def held_gpus(job: DLTrainJob, pods: Sequence[PodRecord]) -> int:
    """How many GPUs the pods of a job hold: a pod holds its GPUs from when it has a node until it has ended."""
    return job.spec.workers.gpus * sum(bool(pod.node) and pod.phase not in {"Succeeded", "Failed"} for pod in pods)


def advanced(
    old: Account | None, job: str, gpus: int, progress: Progress | None, now: datetime
) -> tuple[Account, float, float]:
    """An account brought up to date, with the GPU seconds held and those that counted since.

    A span between two reports counts if the second tells of a step that had not been reached before: steps that are
    repeated after a restart, and the time without steps, do not. Waiting for data does not count either.

    Args:
        old: the account so far; None for a job that was not known.
        job: the job's uid.
        gpus: how many GPUs it holds from now on.
        progress: what its coordinator told last.
        now: the present time.
    """
    if old is None or old.job != job:
        return Account(job, now, gpus, (progress.step or 0) if progress else 0), 0.0, 0.0
    held = old.gpus * max(0.0, (now - old.looked_at).total_seconds())
    step, reported_at, counted = old.step, old.reported_at, 0.0
    if progress is not None and progress.stage == "train" and progress.time not in {None, old.reported_at}:
        assert progress.time is not None
        if old.reported_at is not None and (progress.step or 0) > old.step:
            span = max(0.0, (progress.time - old.reported_at).total_seconds())
            counted = min(held, old.gpus * span * (1 - (progress.time_split.data if progress.time_split else 0.0)))
        step, reported_at = max(old.step, progress.step or 0), progress.time
    return Account(job, now, gpus, step, reported_at), held, counted


class Goodput:
    """Adds up the GPU time of all jobs."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._accounts: dict[JobKey, Account] = {}

    def look(self, key: JobKey, job: DLTrainJob, gpus: int, progress: Progress | None, now: datetime) -> None:
        """Add what a job has used since the last look; one that holds no GPUs any more is forgotten."""
        old = self._accounts.get(key)
        if gpus == 0 and old is None:
            return
        account, held, counted = advanced(old, job.metadata.uid, gpus, progress, now)
        self._metrics.allocated.inc(held)
        self._metrics.productive.inc(counted)
        self._accounts[key] = account
        if gpus == 0:
            self.forget(key)

    def forget(self, key: JobKey) -> None:
        """A job is gone, or holds nothing."""
        self._accounts.pop(key, None)
