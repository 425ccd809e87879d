"""The ranks' output, from the logs of whatever pods they run in."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.connection import Connection
from dltrain.errors import DLTrainError, NotFoundError, UnavailableError
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL, WORKER_CONTAINER

PAUSE_SECONDS: Final = 1.0
"""Between two looks for a pod that is to come."""
SILENCE_SECONDS: Final = 30.0
"""Without a line a log is asked for anew from where it was: the node may have gone without a word."""
PREFIX: Final = re.compile(r"\[rank (\d+)\] ")


@dataclass(frozen=True, slots=True)
class Pod:
    """One incarnation of a worker."""

    name: str
    index: int
    incarnation: int
    started: bool
    """Whether its container has started, so that there is a log."""


def pod_of(manifest: dict[str, Any]) -> Pod:
    """What matters here of a pod."""
    labels, phase = manifest["metadata"]["labels"], manifest.get("status", {}).get("phase")
    return Pod(
        name=manifest["metadata"]["name"],
        index=int(labels[INDEX_LABEL]),
        incarnation=int(labels[INCARNATION_LABEL]),
        started=phase in {"Running", "Succeeded", "Failed"},
    )


def rank_of(line: str) -> int | None:
    """The rank whose output a line is; None for the agent's own lines."""
    match = PREFIX.match(line)
    return int(match[1]) if match else None


class LogReader:
    """Reads the logs of one job's pods."""

    def __init__(
        self, connection: Connection, job: DLTrainJob, rank: int | None, look: Callable[[], DLTrainJob]
    ) -> None:
        self._connection, self._job, self._rank, self._look = connection, job, rank, look

    def lines(self, *, follow: bool) -> Iterator[str]:
        """The lines of the pods there are, or of all pods until the job has finished."""
        if follow:
            yield from self._follow()
            return
        for pod in self._pods():
            yield from (line for _, line in self.read(pod, follow=False) if self.wants(line))

    def _follow(self) -> Iterator[str]:
        """The lines of all pods as they come, until the job has finished and every log has been read."""
        merged = Merge(self)
        try:
            finished = False
            while not finished or merged.reading:
                finished = finished or self._finished()
                merged.read_also(self._pods_if_reachable())
                merged.finished = finished
                yield from merged.lines(PAUSE_SECONDS)
        finally:
            merged.stop()

    def _pods(self) -> list[Pod]:
        """The pods that have a log and may have lines of the rank."""
        path = f"/api/v1/namespaces/{self._job.namespace}/pods"
        selector = f"{JOB_LABEL}={self._job.name},{INDEX_LABEL},{INCARNATION_LABEL}"
        found = self._connection.request("GET", path, {"labelSelector": selector})
        pods = [pod for pod in map(pod_of, found["items"]) if pod.started and self._wanted(pod.index)]
        return sorted(pods, key=lambda pod: (pod.index, pod.incarnation))

    def _wanted(self, index: int) -> bool:
        return self._rank is None or self._rank // self._job.spec.workers.slots == index

    def wants(self, line: str) -> bool:
        """Whether a line is asked for."""
        return self._rank is None or rank_of(line) == self._rank

    def _pods_if_reachable(self) -> list[Pod]:
        try:
            return self._pods()
        except UnavailableError:
            return []

    def _finished(self) -> bool:
        try:
            job = self._look()
        except NotFoundError:
            return True
        except UnavailableError:
            return False
        return job.status.finished or job.metadata.uid != self._job.metadata.uid

    def read_on(self, pod: Pod, pause: Callable[[], bool]) -> Iterator[str]:
        """The lines of a pod to its end; goes on where a broken connection left off.

        Args:
            pod: whose log.
            pause: called while its node or the API server is away; whether to try again.
        """
        since = ""
        while True:
            try:
                for moment, line in self.read(pod, follow=True, since=since):
                    since = moment
                    if self.wants(line):
                        yield line
            except UnavailableError:
                if not pause():
                    return
            else:
                return

    def read(self, pod: Pod, *, follow: bool, since: str = "") -> Iterator[tuple[str, str]]:
        """The lines of a pod after a moment, each with its own moment (RFC 3339, to the nanosecond)."""
        path = f"/api/v1/namespaces/{self._job.namespace}/pods/{pod.name}/log"
        query: dict[str, str | int | bool] = {"container": WORKER_CONTAINER, "timestamps": True, "follow": follow}
        if since:
            query["sinceTime"] = since
        with self._connection.stream(path, query, SILENCE_SECONDS) as lines:
            for raw in lines:
                moment, _, line = raw.decode(errors="replace").partition(" ")
                if moment > since:
                    yield moment, line


class Merge:
    """The logs of several pods as one stream, each read by a thread of its own."""

    def __init__(self, reader: LogReader) -> None:
        self.finished = False
        """Whether no log will grow any more: what cannot be read now is not waited for."""
        self._reader = reader
        self._threads: dict[str, threading.Thread] = {}
        self._lines: queue.Queue[str | DLTrainError] = queue.Queue(maxsize=10_000)
        self._stopped = threading.Event()

    @property
    def reading(self) -> bool:
        """Whether more lines may come from the pods known so far."""
        alive = any(thread.is_alive() for thread in self._threads.values())  # asked first: the last lines come before
        return alive or not self._lines.empty()

    def read_also(self, pods: Iterable[Pod]) -> None:
        """Read these pods too, if they are new."""
        for pod in pods:
            if pod.name not in self._threads:
                self._threads[pod.name] = threading.Thread(target=self._read_to_end, args=(pod,), daemon=True)
                self._threads[pod.name].start()

    def lines(self, seconds: float) -> Iterator[str]:
        """The lines that come within some time.

        Raises:
            DLTrainError: a log may not be read.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(line, DLTrainError):
                raise line
            yield line

    def stop(self) -> None:
        """Let the threads end."""
        self._stopped.set()

    def _read_to_end(self, pod: Pod) -> None:
        try:
            for line in self._reader.read_on(pod, self._pause):
                if not self._put(line):
                    return
        except NotFoundError:
            return
        except DLTrainError as error:
            self._put(error)

    def _pause(self) -> bool:
        """Wait a little; whether it is worth while to go on after that."""
        return not self.finished and not self._stopped.wait(PAUSE_SECONDS)

    def _put(self, line: str | DLTrainError) -> bool:
        """Hand over a line; whether there is still somebody to take lines."""
        while not self._stopped.is_set():
            try:
                self._lines.put(line, timeout=PAUSE_SECONDS)
            except queue.Full:
                continue
            return True
        return False
