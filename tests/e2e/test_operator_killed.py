"""The operator, as a process outside of the cluster, killed at any moment of a job's life and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dltrain.connection import Connection, connect
from dltrain.errors import UnavailableError
from dltrain.names import pod_name
from tests.cluster.host import wait_for
from tests.e2e.jobs import PATIENT, go, script_job
from tests.e2e.live import Live, Space

pytestmark = pytest.mark.e2e

JOB = "steady"
PATHS = (
    "/api/v1/namespaces/{}/pods",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/services",
    "/api/v1/namespaces/{}/secrets",
    "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
)
ONCE = ["ConfigMap", "NetworkPolicy", "Pod", "Pod", "Secret", "Service"]
"""The kinds of everything that the job owns."""
READY = "jobs are served from now on"
WORKERS = ((0, 1), (1, 1))


class Operator:
    """`python -m dltrain_operator` with an administrator's kubeconfig."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig, self._folder = kubeconfig, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it; returns when it serves jobs."""
        self.starts += 1
        log = self._folder / f"operator-{self.starts}.log"
        command = [sys.executable, "-m", "dltrain_operator", "--kubeconfig", str(self._kubeconfig)]
        command += ["--identity", "outside"]  # what a killed one held, the next one takes at once
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ)
        wait_for("the operator", lambda: READY in log.read_text())

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def outside(installed: Live) -> Iterator[Live]:
    """The cluster without the operator that was installed in it."""
    installed.scale_operator(0)
    yield installed
    installed.scale_operator(2)


@pytest.fixture
def operator(outside: Live, tmp_path: Path) -> Iterator[Operator]:
    """An operator that runs outside of the cluster."""
    operator = Operator(outside.kubeconfig, tmp_path)
    operator.start()
    yield operator
    operator.kill()


@contextmanager
def everything_made(space: Space) -> Iterator[set[tuple[str, str, str]]]:
    """(kind, name, uid) of all that a job is ever seen to own."""
    seen: set[tuple[str, str, str]] = set()
    connection = connect(kubeconfig=space.live.kubeconfig)
    for path in PATHS:
        threading.Thread(target=note, args=(connection, path.format(space.name), seen), daemon=True).start()
    yield seen


def note(connection: Connection, path: str, seen: set[tuple[str, str, str]]) -> None:
    """Watch one kind of object."""
    watch = connection.stream(path, {"watch": True, "timeoutSeconds": 120}, patience=130)
    with suppress(UnavailableError), watch as lines:  # it outlives the test, and may outlive the cluster
        for line in lines:
            body = json.loads(line)["object"]
            if "ownerReferences" in body["metadata"]:
                seen.add((body["kind"], body["metadata"]["name"], body["metadata"]["uid"]))


def before_it_is_seen(space: Space, operator: Operator) -> None:
    """The job is made while no operator runs."""
    operator.kill()
    submit(space)


def while_its_pods_are_made(space: Space, operator: Operator) -> None:
    """One pod is there, perhaps more."""
    submit(space)
    wait_for("a pod", lambda: space.pods(JOB), pause=0.01)
    operator.kill()


def while_it_runs(space: Space, operator: Operator) -> None:
    """Its progress is in the status."""
    submit(space)
    space.await_job(JOB, "runs", lambda job: job.status.phase == "Running" and job.status.progress)
    operator.kill()


def while_it_ends(space: Space, operator: Operator) -> None:
    """Nobody hears the coordinator say that the job is done."""
    while_it_runs(space, operator)
    go(space, JOB, *WORKERS)
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    space.kubectl("wait", ended, *(f"pod/{pod_name(JOB, *number)}" for number in WORKERS), "--timeout=60s")


def when_it_is_over(space: Space, operator: Operator) -> None:
    """The status says that it is complete."""
    submit(space)
    space.await_job(JOB, "runs", lambda job: job.status.phase == "Running" and job.status.progress)
    go(space, JOB, *WORKERS)
    space.client.wait(JOB, timeout=60)
    operator.kill()


MOMENTS = (before_it_is_seen, while_its_pods_are_made, while_it_runs, while_it_ends, when_it_is_over)


def submit(space: Space) -> None:
    """Submit a job that goes on until it is told to end."""
    space.apply(script_job(JOB, PATIENT))


def pods_of(space: Space) -> list[dict[str, Any]]:
    """The job's pods."""
    return list(space.pods(JOB).values())


def finish(space: Space) -> None:
    """Let the job end, if it has not, and see it complete."""
    if not space.client.get(JOB).status.finished:
        job = space.await_job(JOB, "runs, or is over", lambda job: job.status.finished or job.status.progress)
        if not job.status.finished and not all(pod["status"]["phase"] == "Succeeded" for pod in pods_of(space)):
            go(space, JOB, *WORKERS)
    space.client.wait(JOB, timeout=60)


@pytest.mark.parametrize("killed", MOMENTS, ids=lambda moment: moment.__name__)
def test_a_job_ends_the_same_wherever_the_operator_was_killed(
    space: Space, operator: Operator, killed: Callable[[Space, Operator], None]
) -> None:
    with everything_made(space) as made:
        killed(space, operator)
        operator.start()
        finish(space)
        status = space.client.get(JOB).status
        assert (status.phase, status.attempt, status.restarts.total, status.incarnations) == ("Succeeded", 1, 0, (1, 1))
        assert status.progress is not None
        assert sorted(kind for kind, _, _ in made) == ONCE, made
        space.client.delete(JOB, wait=True, timeout=60)
        wait_for("everything of it to be deleted", lambda: not space.owned(), 60)
