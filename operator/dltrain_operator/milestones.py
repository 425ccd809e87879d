"""What a change of a job's status means to the metrics."""

from __future__ import annotations

from datetime import datetime

from dltrain.api.status import JobStatus
from dltrain_operator.metrics import Metrics


def count_change(metrics: Metrics, created_at: datetime | None, old: JobStatus, new: JobStatus, now: datetime) -> None:
    """Count what has come about with a written status.

    Args:
        metrics: where it is counted.
        created_at: when the job was created.
        old: the status before.
        new: the status now.
        now: the present time.
    """
    if not old.conditions:
        metrics.created.inc()
    for kind, outcome in (("Complete", "succeeded"), ("Failed", "failed")):
        condition = new.condition(kind)  # type: ignore[arg-type]  # both are conditions' names
        if condition is not None and condition.status == "True" and not old.finished:
            metrics.finished.labels(outcome, condition.reason).inc()
    metrics.restarts.labels("user").inc(new.restarts.user - old.restarts.user)
    metrics.restarts.labels("infrastructure").inc(new.restarts.infrastructure - old.restarts.infrastructure)
    if created_at is not None:
        for milestone in reached(old, new):
            metrics.latency.labels(milestone).observe(max(0.0, (now - created_at).total_seconds()))


def reached(old: JobStatus, new: JobStatus) -> tuple[str, ...]:
    """The milestones that a job has passed between two statuses; none if it was ever suspended."""
    if new.condition("Suspended") is not None:
        return ()
    first_attempt = new.attempt <= 1 and new.restarts.total == 0
    return tuple(
        name
        for name, passed in (
            ("accepted", not old.conditions and new.is_true("Accepted")),
            ("running", first_attempt and new.is_true("Running") and not old.is_true("Running")),
            ("first_step", first_attempt and steps_of(new) > 0 and steps_of(old) == 0),
            ("complete", new.is_true("Complete") and not old.is_true("Complete")),
        )
        if passed
    )


def steps_of(status: JobStatus) -> int:
    """The training steps that a job has done."""
    return (status.progress.step or 0) if status.progress is not None else 0
