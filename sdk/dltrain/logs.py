"""The ranks' output, from the logs of whatever pods they run in."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.connection import Connection
from dltrain.errors import ClusterError, DLTrainError, NotFoundError, UnavailableError
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL, WORKER_CONTAINER

PAUSE_SECONDS: Final = 1.0
"""Between two looks for a pod that is to come."""
PREFIX: Final = re.compile(r"\[rank (\d+)\] ")


@dataclass(frozen=True, slots=True)
class Pod:
    """One incarnation of a worker."""

    name: str
    index: int
    incarnation: int
    started: bool
    """Whether its container has started, so that there is a log."""
    ended: bool


def pod_of(manifest: dict[str, Any]) -> Pod:
    """What matters here of a pod."""
    labels, phase = manifest["metadata"]["labels"], manifest.get("status", {}).get("phase")
    return Pod(
        name=manifest["metadata"]["name"],
        index=int(labels[INDEX_LABEL]),
        incarnation=int(labels[INCARNATION_LABEL]),
        started=phase in {"Running", "Succeeded", "Failed"},
        ended=phase in {"Succeeded", "Failed"},
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
        self._stop = threading.Event()

    def lines(self, *, follow: bool) -> Iterator[str]:
        """The lines of the pods there are, or of all pods until the job has finished."""
        if not follow:
            for pod in self._pods():
                if pod.started and self._wanted_index(pod.index):
                    yield from (line for _, line in self._read(pod, follow=False, since=""))
            return
        merged: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        indexes = [index for index in range(self._job.spec.workers.replicas) if self._wanted_index(index)]
        for index in indexes:
            threading.Thread(target=self._follow, args=(index, merged), daemon=True).start()
        try:
            open_ends = len(indexes)
            while open_ends:
                if (line := merged.get()) is None:
                    open_ends -= 1
                else:
                    yield line
        finally:
            self._stop.set()

    def _wanted_index(self, index: int) -> bool:
        return self._rank is None or self._rank // self._job.spec.workers.slots == index

    def _pods(self) -> list[Pod]:
        path = f"/api/v1/namespaces/{self._job.namespace}/pods"
        found = self._connection.request("GET", path, {"labelSelector": f"{JOB_LABEL}={self._job.name}"})
        return sorted(map(pod_of, found["items"]), key=lambda pod: (pod.index, pod.incarnation))

    def _follow(self, index: int, merged: queue.Queue[str | None]) -> None:
        """Put the lines of one worker's pods, one after the other, until the job has finished."""
        read = 0
        try:
            while not self._stop.is_set():
                finished = self._finished()
                for pod in self._pods():
                    if pod.index == index and pod.incarnation > read and pod.started:
                        self._read_to_end(pod, merged)
                        read = pod.incarnation
                if finished:
                    break
                self._stop.wait(PAUSE_SECONDS)
        except DLTrainError as error:
            merged.put(f"(the log of worker {index} cannot be followed any further: {error})")
        finally:
            merged.put(None)

    def _read_to_end(self, pod: Pod, merged: queue.Queue[str | None]) -> None:
        """Put one pod's lines; goes on where a broken connection left off."""
        since = ""
        while not self._stop.is_set():
            try:
                for time, line in self._read(pod, follow=True, since=since):
                    since = time
                    merged.put(line)
            except UnavailableError:
                self._stop.wait(PAUSE_SECONDS)
            except (NotFoundError, ClusterError):
                return  # the pod is gone, or its node is
            else:
                return

    def _finished(self) -> bool:
        try:
            return self._look().status.finished
        except NotFoundError:
            return True

    def _read(self, pod: Pod, *, follow: bool, since: str) -> Iterator[tuple[str, str]]:
        """The lines of a pod after a moment, each with its own moment (RFC 3339, to the nanosecond)."""
        path = f"/api/v1/namespaces/{self._job.namespace}/pods/{pod.name}/log"
        query: dict[str, str | int | bool] = {"container": WORKER_CONTAINER, "timestamps": True, "follow": follow}
        if since:
            query["sinceTime"] = since
        with self._connection.stream(path, query, patience=None if follow else 60.0) as lines:
            for raw in lines:
                time, _, line = raw.decode(errors="replace").partition(" ")
                if time > since and (self._rank is None or rank_of(line) == self._rank):
                    yield time, line
