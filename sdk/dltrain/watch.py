"""Following jobs as they change, whatever happens to the connection meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dltrain.api.job import DLTrainJob
from dltrain.connection import Connection, Query
from dltrain.errors import UnavailableError, WaitTimeoutError
from dltrain.names import API_VERSION, PLURAL
from dltrain.refusals import ExpiredError

WATCH_SECONDS: Final = 240
"""How long the server keeps one watch open; the next goes on where it ended."""
PAUSE_SECONDS: Final = 1.0
"""Between two attempts to reach a server that does not answer."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job as it is now, and what happened to it."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    job: DLTrainJob


def jobs_path(namespace: str, name: str = "") -> str:
    """The path of a namespace's jobs, or of one of them."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}" + (f"/{name}" if name else "")


@dataclass
class JobWatch:
    """Yields a job's state now and after each change; never misses the last one."""

    connection: Connection
    namespace: str
    name: str | None = None
    """Only this job; all of the namespace by default."""
    deadline: float | None = None
    """On the monotonic clock; None never ends."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _known: dict[str, DLTrainJob] = field(default_factory=dict)

    def events(self) -> Iterator[JobEvent]:
        """The jobs there are, then every change.

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
            except UnavailableError:
                self.sleep(min(PAUSE_SECONDS, self._left() or 0.0))

    def _query(self) -> dict[str, str | int | bool]:
        return {"fieldSelector": f"metadata.name={self.name}"} if self.name else {}

    def _list(self) -> Generator[JobEvent, None, str]:
        """What has changed since the last known state."""
        found = self.connection.request("GET", jobs_path(self.namespace), self._query())
        jobs = {job.metadata.uid: job for job in map(job_of, found["items"])}
        for uid, job in list(self._known.items()):
            if uid not in jobs:
                del self._known[uid]
                yield JobEvent("DELETED", job)
        for uid, job in jobs.items():
            old = self._known.get(uid)
            self._known[uid] = job
            if old is None or old.metadata.resource_version != job.metadata.resource_version:
                yield JobEvent("ADDED" if old is None else "MODIFIED", job)
        return str(found["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> Generator[JobEvent, None, str]:
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
        with self.connection.stream(jobs_path(self.namespace), query, patience=seconds + 10.0) as lines:
            for line in lines:
                event = json.loads(line)
                raise_error(event)
                version = str(event["object"]["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    yield self._noted(event["type"], job_of(event["object"]))
        return version

    def _noted(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], job: DLTrainJob) -> JobEvent:
        if kind == "DELETED":
            self._known.pop(job.metadata.uid, None)
        else:
            self._known[job.metadata.uid] = job
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
            raise WaitTimeoutError(f"gave up waiting for {self.name or 'jobs'}: the time is up")
        return left


def raise_error(event: Mapping[str, Any]) -> None:
    """Raise what an ERROR event of a watch means.

    Raises:
        ExpiredError: the version asked for is too old.
        UnavailableError: anything else; the watch is to begin anew.
    """
    if event["type"] == "ERROR":
        status = event["object"]
        raise (ExpiredError if status.get("code") == 410 else UnavailableError)(str(status.get("message")))


def job_of(manifest: Mapping[str, Any]) -> DLTrainJob:
    """A job as the API server has it.

    What an older or newer dltrain has stored need not satisfy today's rules to be shown.
    """
    return DLTrainJob.model_validate(manifest)
