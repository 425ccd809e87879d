"""Events: what happened to a job, for `kubectl describe` and `kubectl events`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from dltrain import names
from dltrain.api.status import ConditionType, JobStatus
from dltrain.errors import ClusterError
from dltrain_operator.children.metadata import FIELD_MANAGER, Manifest
from dltrain_operator.records import JobRecord
from dltrain_operator.status import Reason

log = logging.getLogger(__name__)

MAX_NOTE: Final = 1000
"""The API takes 1024 bytes."""
MAX_WAITING: Final = 1000
"""Events that wait to be posted; more are dropped, for a job never waits for its events."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job."""

    reason: str
    note: str
    type: Literal["Normal", "Warning"] = "Normal"


TRANSITIONS: Final[tuple[tuple[ConditionType, str, str, Literal["Normal", "Warning"]], ...]] = (
    ("Accepted", "True", "Accepted", "Normal"),
    ("Accepted", "False", "Rejected", "Warning"),
    ("Suspended", "True", "Suspended", "Normal"),
    ("Suspended", "False", "Resumed", "Normal"),
    ("Running", "True", "Running", "Normal"),
    ("Complete", "True", "Completed", "Normal"),
    ("Failed", "True", "Failed", "Warning"),
)
"""(condition, the value it takes, the event's reason, the event's type)."""


def transition_events(old: JobStatus, new: JobStatus) -> tuple[JobEvent, ...]:
    """The events that a change of status means."""
    return (*condition_events(old, new), *phase_events(old, new))


def condition_events(old: JobStatus, new: JobStatus) -> Iterable[JobEvent]:
    """The events of conditions that changed."""
    for kind, value, reason, severity in TRANSITIONS:
        before, after = old.condition(kind), new.condition(kind)
        if after is not None and after.status == value and (before is None or before.status != value):
            yield JobEvent(reason, after.message, severity)


def phase_events(old: JobStatus, new: JobStatus) -> Iterable[JobEvent]:
    """The events of what no condition of its own stands for: why a job does not run."""
    before, after = old.condition("Running"), new.condition("Running")
    if after is None or (before is not None and before.reason == after.reason):
        return
    if after.reason == Reason.BLOCKED:
        yield JobEvent("CreationFailed", after.message, "Warning")
    if after.reason == Reason.STARTING:
        yield JobEvent("Started", after.message)
    if after.reason == Reason.RESTARTING:
        cause = f"{new.failure.message}; " if new.failure is not None and new.failure != old.failure else ""
        yield JobEvent("Restarting", cause + after.message, "Warning")


def event_manifest(event: JobEvent, job: JobRecord, now: datetime) -> Manifest:
    """An event as the API takes it.

    Args:
        event: what happened.
        job: what it happened to.
        now: when.
    """
    namespace, name = job.key
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name}-", "namespace": namespace},
        "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "type": event.type,
        "reason": event.reason,
        "action": "Reconcile",
        "note": event.note.encode()[:MAX_NOTE].decode(errors="ignore") or event.reason,
        "reportingController": f"{names.GROUP}/{FIELD_MANAGER}",
        "reportingInstance": socket.gethostname(),
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": namespace,
            "name": name,
            "uid": job.uid,
        },
    }


class Recorder:
    """Posts events one after another, beside the work; losing one hurts nobody."""

    def __init__(self, post: Callable[[Manifest], Awaitable[Any]]) -> None:
        self._post = post
        self._waiting: asyncio.Queue[Manifest] = asyncio.Queue(MAX_WAITING)

    def record(self, event: Manifest) -> None:
        """Post an event soon."""
        if not self._waiting.full():
            self._waiting.put_nowait(event)

    async def run(self) -> None:
        """Post events until cancelled."""
        while True:
            event = await self._waiting.get()
            try:
                await self._post(event)
            except ClusterError as error:
                log.info("an event was not posted: %s", error)
