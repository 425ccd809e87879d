"""When a changed status is written: what others act upon at once, what only people watch now and then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from dltrain.api.status import Condition, JobStatus

INTERVAL: Final = timedelta(seconds=10)
"""Between two writes that are not urgent."""


def write_at(old: JobStatus, new: JobStatus, written_at: datetime | None, now: datetime) -> datetime | None:
    """When a status is to be written.

    Args:
        old: the status in the cluster.
        new: what it should be.
        written_at: when this process last wrote it, if ever.
        now: the present time.

    Returns:
        A time, which may have come already; None if nothing differs.
    """
    if old == new:
        return None
    first_progress = old.progress is None and new.progress is not None
    if urgent_part(old) != urgent_part(new) or first_progress:
        return now
    return now + pause_after(written_at, now)


def pause_after(written_at: datetime | None, now: datetime) -> timedelta:
    """How long what is not urgent has to wait after a write; not at all without one, or if the clock was set back."""
    return max(timedelta(), written_at + INTERVAL - now) if written_at and written_at <= now else timedelta()


def urgent_part(status: JobStatus) -> JobStatus:
    """A status without what may wait: progress, results of stages, counts of ready pods and messages."""
    conditions = tuple(without_message(condition) for condition in status.conditions)
    workers = status.workers.model_copy(update={"ready": 0, "summary": ""})
    waiting = {"progress": None, "checkpoint": None, "results": None}
    return status.model_copy(update={"conditions": conditions, "workers": workers, **waiting})


def without_message(condition: Condition) -> Condition:
    """A condition without the words for people."""
    return condition.model_copy(update={"message": ""})


def earliest(times: Iterable[datetime | None]) -> datetime | None:
    """The first of some times; None where there is none."""
    return min((time for time in times if time is not None), default=None)
