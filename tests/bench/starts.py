"""How long one small job takes, from its creation to its ranks' first words and to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dltrain.connection import Connection
from tests.bench.contender import WORKERS, Contender
from tests.bench.failure import BenchFailure
from tests.bench.timeline import Sighting, Timeline

JOB_SECONDS: Final = 60.0
DELETION_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """One job's life; moments in seconds since the epoch, spans in seconds."""

    begun: float
    """The moment before it was created."""
    gone: float
    """The moment when it and its pods had been deleted."""
    pods_made: float
    """From its creation to the last pod's."""
    pods_run: float
    """To the last pod reported as running."""
    ranks_run: float
    """To the first words of the last rank, by the clock of the container runtime."""
    complete: float
    """To the condition that says that it has done its work."""

    def __str__(self) -> str:
        return (
            f"pods made {self.pods_made:.2f} s, run {self.pods_run:.2f} s, "
            f"ranks run {self.ranks_run:.2f} s, complete {self.complete:.2f} s"
        )


class Starter:
    """Runs jobs of one contender in one namespace, one at a time."""

    def __init__(self, connection: Connection, contender: Contender, namespace: str) -> None:
        self._connection, self._contender, self.namespace = connection, contender, namespace
        self._jobs = contender.jobs_path(namespace)
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._timeline = Timeline(connection, (self._jobs, self._pods))

    def run(self, name: str) -> Start:
        """Create a job, see it end, and delete it; returns when nothing of it is left.

        Raises:
            BenchFailure: it did not end well, or its workers shared a node.
        """
        begun = time.time()
        self._connection.request("POST", self._jobs, body=self._contender.job(name))
        done = self._await_end(name)
        pods = self._pods_of(name)
        first_words = sorted(moment for pod in pods for moment in self._rank_moments(pod))
        nodes = self._nodes_of(pods)
        if len(first_words) != WORKERS or len(nodes) != WORKERS:
            raise BenchFailure(
                f"{name}: {len(first_words)} ranks spoke, on {sorted(nodes)}; {WORKERS} of each expected"
            )
        self._delete(name, pods)
        return Start(
            begun=begun,
            gone=time.time(),
            pods_made=max(self._first(pod, "ADDED").at for pod in pods) - begun,
            pods_run=max(self._first_running(pod).at for pod in pods) - begun,
            ranks_run=first_words[-1] - begun,
            complete=done.at - begun,
        )

    def _await_end(self, name: str) -> Sighting:
        def ended(seen: Sighting) -> bool:
            return seen.name == name and seen.has_condition(self._contender.done, "Failed")

        found = self._timeline.first(f"{name} to end", ended, JOB_SECONDS)
        if found.has_condition("Failed"):
            raise BenchFailure(f"{self._contender.name}: {name} failed: {found.body['status']['conditions']}")
        return found

    def _pods_of(self, job: str) -> list[str]:
        """The names of a job's pods."""
        label = self._contender.job_label
        seen = (one for one in self._timeline.sightings if one.body["metadata"].get("labels", {}).get(label) == job)
        return sorted({one.name for one in seen if one.kind == "Pod"})

    def _nodes_of(self, pods: list[str]) -> set[str]:
        """The nodes that pods were scheduled to."""
        seen = (one for one in self._timeline.sightings if one.name in pods)
        return {one.body["spec"]["nodeName"] for one in seen if "nodeName" in one.body["spec"]}

    def _rank_moments(self, pod: str) -> Iterator[float]:
        """When each line of a rank was written to a pod's log."""
        with self._connection.stream(f"{self._pods}/{pod}/log", {"timestamps": True}, JOB_SECONDS) as lines:
            for raw in lines:
                moment, _, line = raw.decode(errors="replace").partition(" ")
                if self._contender.rank_line.match(line):
                    yield datetime.fromisoformat(moment).timestamp()

    def _delete(self, name: str, pods: list[str]) -> None:
        self._connection.request("DELETE", f"{self._jobs}/{name}", body={"propagationPolicy": "Foreground"})
        for each in (name, *pods):
            self._first(each, "DELETED")

    def _first(self, name: str, change: str) -> Sighting:
        what = f"{name} to be {change}"
        return self._timeline.first(what, lambda seen: (seen.name, seen.change) == (name, change), DELETION_SECONDS)

    def _first_running(self, pod: str) -> Sighting:
        """When a pod was first told to run, or to have run."""

        def runs(seen: Sighting) -> bool:
            return seen.name == pod and seen.body["status"].get("phase") not in {"Pending", None}

        return self._timeline.first(f"{pod} to run", runs, JOB_SECONDS)
