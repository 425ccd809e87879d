"""Following jobs as they change, whatever happens to the connection meanwhile."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from dltrain.api.job import NAME_FORM, NAME_PATTERN, DLTrainJob
from dltrain.api.parse import stored_job
from dltrain.api.wording import shown
from dltrain.effects import Emit, Next, Program, Query, Request, Sleep
from dltrain.errors import Problem, SpecError, UnavailableError, WaitTimeoutError
from dltrain.names import API_VERSION, PLURAL
from dltrain.refusals import ExpiredError
from dltrain.requests import ask_for_list, reading

WATCH_SECONDS: Final = 240
"""How long the server keeps one watch open; the next goes on where it ended."""
PAUSE_SECONDS: Final = 1.0
"""Between two attempts to reach a server that does not answer."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job as it is now, and what happened to it."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    job: DLTrainJob


def jobs_path(namespace: str | None) -> str:
    """The path of a namespace's jobs; of all namespaces' for None."""
    if namespace is None:
        return f"/apis/{API_VERSION}/{PLURAL}"
    return f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/{PLURAL}"


def job_path(namespace: str, name: str) -> str:
    """The path of one job.

    Raises:
        SpecError: no job can have that name; without this an empty one would mean all jobs.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise SpecError([Problem("metadata.name", NAME_FORM.rule, shown(name), NAME_FORM.remedy)])
    return f"{jobs_path(namespace)}/{name}"


@dataclass
class JobWatch:
    """Emits the jobs' state now and after each change; never misses the last one, nor the end of a known job."""

    namespace: str | None
    """None for all namespaces."""
    name: str | None = None
    """Only this job; all by default."""
    selector: str = ""
    """Of labels: only jobs that have them."""
    deadline: float | None = None
    """On the monotonic clock; None never ends."""
    clock: Callable[[], float] = time.monotonic
    known: dict[str, DLTrainJob] = field(default_factory=dict)
    """The jobs as they were last seen, by uid: only what is different from them is an event."""

    def events(self) -> Program[None]:
        """Emits a JobEvent for each of the jobs there are, then for every change.

        Raises:
            WaitTimeoutError: the deadline has passed.
            ClusterError: the API refuses; being out of reach is waited out.
        """
        while True:
            try:
                version = yield from self._list()
                while True:
                    version = yield from self._watch(version)
            except ExpiredError:
                continue  # the history was compacted: list anew
            except UnavailableError as error:
                left, pause = self._left(), max(PAUSE_SECONDS, error.retry_after_seconds)
                yield Sleep(pause if left is None else min(pause, left))

    def _query(self) -> dict[str, str | int | bool]:
        query = {"fieldSelector": f"metadata.name={self.name}" if self.name else "", "labelSelector": self.selector}
        return {option: value for option, value in query.items() if value}

    def _list(self) -> Program[str]:
        """What has changed since the last known state."""
        found = yield from ask_for_list(jobs_path(self.namespace), self._query())
        jobs = {job.metadata.uid: job for job in map(stored_job, found["items"])}
        for uid, job in list(self.known.items()):
            if uid not in jobs:
                del self.known[uid]
                yield Emit(JobEvent("DELETED", job))
        for uid, job in jobs.items():
            old = self.known.get(uid)
            self.known[uid] = job
            if old is None or old.metadata.resource_version != job.metadata.resource_version:
                yield Emit(JobEvent("ADDED" if old is None else "MODIFIED", job))
        return str(found["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> Program[str]:
        """The changes since a version, until the server closes; the version to go on from."""
        left = self._left()
        seconds = WATCH_SECONDS if left is None else max(1, min(WATCH_SECONDS, round(left)))
        query: Query = {
            **self._query(),
            "watch": True,
            "resourceVersion": version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": seconds,
        }
        patience = seconds + (10.0 if left is None else 1.0)

        def read(stream: Any) -> Program[str]:
            reached = version
            while (line := (yield Next(stream))) is not None:
                kind, thing = event_of(line)
                reached = str(thing["metadata"]["resourceVersion"])
                if kind != "BOOKMARK":
                    yield Emit(self._noted(kind, stored_job(thing)))
            return reached

        return (yield from reading(Request("GET", jobs_path(self.namespace), query), patience, read))

    def _noted(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], job: DLTrainJob) -> JobEvent:
        if kind == "DELETED":
            self.known.pop(job.metadata.uid, None)
        else:
            self.known[job.metadata.uid] = job
        return JobEvent(kind, job)

    def _left(self) -> float | None:
        """Seconds until the deadline.

        Raises:
            WaitTimeoutError: it has passed.
        """
        if self.deadline is None:
            return None
        left = self.deadline - self.clock()
        if left <= 0:
            raise time_is_up(self.name or "jobs")
        return left


def time_is_up(awaited: str) -> WaitTimeoutError:
    """That the time for something has passed."""
    return WaitTimeoutError(f"gave up waiting for {awaited}: the time is up")


def event_of(line: bytes) -> tuple[Any, Mapping[str, Any]]:
    """The kind and the object of one event of a watch.

    Raises:
        ExpiredError: the version asked for is too old.
        UnavailableError: the line is broken off, or tells of another error; the watch is to begin anew.
    """
    try:
        event = json.loads(line)
        kind, thing = event["type"], event["object"]
    except (ValueError, LookupError, TypeError) as error:
        raise UnavailableError("a watch was broken off in the middle of a line") from error
    if kind == "ERROR":
        raise (ExpiredError if thing.get("code") == 410 else UnavailableError)(str(thing.get("message")))
    return kind, thing
