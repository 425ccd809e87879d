"""The ranks' output, from the logs of whatever pods they run in; what is stored of it where the pods have gone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from math import inf
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import stored_job
from dltrain.effects import Emit, Fork, Forked, Next, Open, Program, Request, Sleep, Take, Work
from dltrain.errors import ClusterError, DLTrainError, NotFoundError, UnavailableError
from dltrain.log_pods import Pod, pod_of
from dltrain.moments import in_utc, moment_of
from dltrain.names import WORKER_CONTAINER
from dltrain.pods import manifests_of
from dltrain.refusals import BadRequestError, NodeGoneError
from dltrain.requests import ask, reading
from dltrain.stored_logs import PREFIX, status_lines
from dltrain.watch import job_path, time_is_up

PAUSE_SECONDS: Final = 1.0
"""Between two looks for a pod that is to come."""
SILENCE_SECONDS: Final = 30.0
"""Without a line a log is asked for anew from where it was: the node may have gone without a word."""
AT_ONCE: Final = 128
"""Logs that are merged by time; those of more pods are told group after group."""
UNREADABLE: Final = (BadRequestError, NotFoundError, UnavailableError)
"""What the API server answers where one pod has no log to read: other pods may have one."""


Head = tuple[str, int, str, Any, Pod]
"""The next line of a pod: its moment, the pod's place, the line, the stream, the pod; ordered by the first two."""


def rank_of(line: str) -> int | None:
    """The rank whose output a line is; None for the agent's own lines."""
    match = PREFIX.match(line)
    return int(match[1]) if match else None


@dataclass
class LogReader:
    """Reads the logs of one job's pods."""

    job: DLTrainJob
    rank: int | None = None
    """Only this rank's lines."""
    since: str = ""
    """Only lines after this moment."""
    storage: Callable[[], Sequence[str]] | None = None
    """Reads the lines that the job's storage has; it may take its time."""
    deadline: float | None = None
    """Of following, on the monotonic clock; None never ends."""
    clock: Callable[[], float] = time.monotonic
    _newest: dict[str, str] = field(default_factory=dict)
    """Pod -> the moment of its newest line that was read."""
    _unstamped: dict[str, str] = field(default_factory=dict)
    """Pod -> the last line of its log that has no moment."""
    _growing: set[str] = field(default_factory=set)
    """The pods whose containers have not ended, as of the last list of pods."""
    _readable: bool = False
    """Whether the log of any pod could be read."""
    _unreadable: dict[str, ClusterError] = field(default_factory=dict)
    """Pod -> why its log cannot be read: the error where no other can."""
    _told: set[str] = field(default_factory=set)
    """The pods of which a line has told that."""
    _finished: bool = False
    """Whether no log will grow any more: what cannot be read now is not waited for."""

    def lines(self, tail: int | None = None, *, follow: bool = False) -> Program[None]:
        """Emits lines: of the pods there are, by time, then, if wanted, of all pods until the job has finished.

        Args:
            tail: of the lines there are, only the last so many.
            follow: go on.

        Raises:
            ClusterError: no log can be read; while others can, a line tells of each that cannot.
            WaitTimeoutError: the deadline of following has passed.
        """
        if tail is not None or not follow or self.job.status.finished:
            pods = yield from self._pods_if_reachable() if follow else self._pods()
            if tail is not None or not follow or not pods:
                yield from self._past(pods, tail)
        if follow:
            yield from self._notices()
            yield from self._follow()
        if self._unreadable and not self._readable:
            raise next(iter(self._unreadable.values()))

    def _past(self, pods: Sequence[Pod], tail: int | None) -> Program[None]:
        """The lines there are, ordered by time; what is stored where there is no pod any more."""
        kept: deque[str] = deque(() if pods else (yield from self._stored()), maxlen=tail)
        for start in range(0, len(pods), AT_ONCE):
            heads = yield from self._heads(pods[start : start + AT_ONCE], tail)
            if self._readable:
                yield from self._notices()
            yield from self._merged(heads, tail, kept)
        for line in kept:
            yield Emit(line)

    def _notices(self) -> Program[None]:
        """A line for each log that cannot be read."""
        for name, error in self._unreadable.items():
            yield from self._notice(name, error)

    def _notice(self, name: str, error: ClusterError) -> Program[None]:
        """A line, once, for the log of a pod that cannot be read, or not to its end."""
        if name not in self._told:
            self._told.add(name)
            yield Emit(f"[dltrain] the log of {name} cannot be read: {' '.join(str(error).split())}")

    def _stored(self) -> Program[list[str]]:
        """What is kept of the output: with the artefacts, else in the status."""
        completed = self.job.status.completion_time
        if completed is not None and moment_of(completed) < self.since:
            return []
        kept = status_lines(self.job, self.rank)
        if self.storage is None or not self.job.status.attempt:
            return kept
        try:
            found = yield Work(self.storage)
        except DLTrainError as error:
            if not kept:
                raise
            return [f"[dltrain] these lines are all that the status has; the storage cannot be read: {error}", *kept]
        return found or kept

    def _merged(self, heads: list[Head], tail: int | None, kept: deque[str]) -> Program[None]:
        """The lines of some pods, each by its moment: emitted at once, or kept where only the last are asked for."""
        while heads:
            moment, order, line, stream, pod = heads[0]
            self._newest[pod.name] = moment
            if tail is not None:
                kept.extend([line] if self.wants(line) else [])
            elif self.wants(line):
                yield Emit(line)
            try:
                head = yield from self._next(pod, stream, "")
            except UnavailableError as error:
                head = None
                yield from self._notice(pod.name, error)
            if head is None:
                heappop(heads)
            else:
                heapreplace(heads, (max(moment, head[0]), order, head[1], stream, pod))

    def _heads(self, pods: Sequence[Pod], tail: int | None) -> Program[list[Head]]:
        """The first line of each pod whose log can be read, as a heap."""
        heads: list[Head] = []
        for order, pod in enumerate(pods):
            try:
                stream = yield Open(self._request(pod, self.since, tail), SILENCE_SECONDS)
                head = yield from self._next(pod, stream, "")
            except UNREADABLE as error:
                self._unreadable[pod.name] = error
                continue
            self._readable = True
            heads += [] if head is None else [(head[0], order, head[1], stream, pod)]
        heapify(heads)
        return heads

    def _follow(self) -> Program[None]:
        """The lines of all pods as they come, until the job has finished and every log has been read."""
        known: set[str] = set()
        while not self._finished or (yield Forked()):
            if self.deadline is not None and self.clock() >= self.deadline:
                raise time_is_up(self.job.name)
            self._finished = self._finished or (yield from self._has_finished())
            for pod in (yield from self._pods_if_reachable()):
                if pod.name not in known:
                    known.add(pod.name)
                    yield Fork(self._read_on(pod))
            yield from self._taken()

    def _taken(self) -> Program[None]:
        """The lines that come within the pause, and before the deadline."""
        deadline = min(self.clock() + PAUSE_SECONDS, inf if self.deadline is None else self.deadline)
        while (left := deadline - self.clock()) > 0:
            lines = yield Take(left)
            if not lines:
                return
            for line in lines:
                yield Emit(line)

    def _pods(self) -> Program[list[Pod]]:
        """The pods that have a log and may have lines of the rank."""
        pods = [pod_of(manifest) for manifest in (yield from manifests_of(self.job))]
        self._growing = {pod.name for pod in pods if not pod.ended}
        return [pod for pod in pods if pod.started and self._wanted(pod.index)]

    def _wanted(self, index: int) -> bool:
        return self.rank is None or self.rank // self.job.spec.workers.slots == index

    def wants(self, line: str) -> bool:
        """Whether a line is asked for."""
        return self.rank is None or rank_of(line) == self.rank

    def _pods_if_reachable(self) -> Program[list[Pod]]:
        try:
            return (yield from self._pods())
        except UnavailableError:
            return []

    def _has_finished(self) -> Program[bool]:
        request = Request("GET", job_path(self.job.namespace, self.job.name))
        try:
            job = stored_job((yield from ask(request)))
        except NotFoundError:
            return True
        except UnavailableError:
            return False
        return job.status.finished or job.metadata.uid != self.job.metadata.uid

    def _read_on(self, pod: Pod) -> Program[None]:
        """The lines of a pod to its end, as far as they can be read; goes on where an answer ended or broke off."""
        try:
            while not (yield from self._read(pod)):
                yield Sleep(PAUSE_SECONDS)
        except UnavailableError as error:
            yield from self._notice(pod.name, error)
        except (BadRequestError, NodeGoneError) as error:
            self._unreadable[pod.name] = error
            yield from self._notice(pod.name, error)
        except NotFoundError:
            return  # the pod was removed, as pods are when they have ended

    def _read(self, pod: Pod) -> Program[bool]:
        """The lines of a pod after the newest one; whether they were the last.

        The API server ends an answer in the same way whether the log has ended or the kubelet has gone, as it does to
        restart. So the lines were the last only where, before they were asked for, there were to be no more.

        Raises:
            UnavailableError: the log of a finished job cannot be had, or breaks off before a new line.
            ClusterError: the log is refused.
        """
        finished, before = self._finished, self._newest.get(pod.name, self.since)
        ended = finished or pod.name not in self._growing

        def read(stream: Any) -> Program[None]:
            self._readable = True
            while (found := (yield from self._next(pod, stream, before))) is not None:
                # lines of the two outputs of a container may come a moment out of order
                self._newest[pod.name] = max(self._newest.get(pod.name, before), found[0])
                if self.wants(found[1]):
                    yield Emit(found[1])

        try:
            yield from reading(self._request(pod, before, None, follow=True), SILENCE_SECONDS, read)
        except UnavailableError:
            if finished and self._newest.get(pod.name, self.since) == before:
                raise
            return False
        return ended

    def _next(self, pod: Pod, stream: Any, since: str) -> Program[tuple[str, str] | None]:
        """The next line after a moment, with its own (RFC 3339, to the nanosecond).

        A line that has none is the kubelet's word about the log: it goes with the line before it.
        """
        since = since or self.since
        while (raw := (yield Next(stream))) is not None:
            text = raw.decode(errors="replace")
            stamp, _, line = text.partition(" ")
            moment = in_utc(stamp)
            if moment is None and self._is_new(pod, text):
                return since, text
            if moment is not None and moment > since:
                return moment, line
        return None

    def _is_new(self, pod: Pod, text: str) -> bool:
        """Whether a line without a moment is told: a kubelet may say the same whenever it is asked."""
        before = self._unstamped.get(pod.name, "")
        self._unstamped[pod.name] = text or before
        return text not in {"", before}

    def _request(self, pod: Pod, since: str, tail: int | None, *, follow: bool = False) -> Request:
        query: dict[str, str | int | bool] = {"container": WORKER_CONTAINER, "timestamps": True, "follow": follow}
        if since:
            query["sinceTime"] = since
        if tail is not None and self.rank is None:  # else the pod's last lines may be other ranks'
            query["tailLines"] = max(tail, 1)  # the last line tells from where to follow, also where none is wanted
        return Request("GET", f"/api/v1/namespaces/{self.job.namespace}/pods/{pod.name}/log", query)
