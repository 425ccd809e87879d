"""Kubernetes places the workers of a job together: jobs that each could get half of what they need do not block."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.host import wait_for
from tests.e2e.jobs import PATIENT, go, script_job
from tests.e2e.live import Space

pytestmark = pytest.mark.e2e
GPU = "nvidia.com/gpu"


def hungry(name: str, replicas: int) -> dict[str, Any]:
    """A patient job, each of whose workers needs the GPU of a node."""
    job = script_job(name, PATIENT, replicas)
    job["spec"]["workers"]["resources"] = {"limits": {GPU: 1}}
    return job


def placed(space: Space, job: str) -> int:
    """How many pods of a job have a node."""
    return sum(bool(pod["spec"].get("nodeName")) for pod in space.pods(job).values())


def test_two_gangs_that_each_fit_half_never_deadlock_and_one_that_does_not_fit_holds_no_node(space: Space) -> None:
    nodes = len(space.live.read("get", "nodes")["items"])
    assert nodes == 3, "two gangs of two do not fit on three nodes with a GPU each"
    space.apply(hungry("first", 2), hungry("second", 2), hungry("large", nodes + 1))
    names = ("first", "second")
    wait_for("one of them to be placed", lambda: any(placed(space, name) == 2 for name in names), 60)
    winner, loser = sorted(names, key=lambda name: -placed(space, name))
    space.await_job(winner, "runs", lambda job: job.status.phase == "Running", 120)
    for waiting in (loser, "large"):
        space.await_job(
            waiting, "says why it waits", lambda job: "0 of" in (job.status.condition("Running") or job).message, 60
        )
        assert placed(space, waiting) == 0
    go(space, winner, (0, 1), (1, 1))
    space.await_job(winner, "succeeds", lambda job: job.status.phase == "Succeeded", 60)
    space.await_job(loser, "runs next", lambda job: job.status.phase == "Running", 60)
    assert placed(space, "large") == 0
    go(space, loser, (0, 1), (1, 1))
    space.await_job(loser, "succeeds", lambda job: job.status.phase == "Succeeded", 60)
    assert placed(space, "large") == 0


def test_a_lost_worker_of_a_gang_that_runs_is_placed_alone(space: Space) -> None:
    space.apply(hungry("gang", 2))
    space.await_job("gang", "runs", lambda job: job.status.phase == "Running", 120)
    space.kubectl("delete", "pod", "gang-1-1", "--wait=false")
    space.await_job("gang", "runs again", lambda job: job.status.phase == "Running" and job.status.attempt == 2, 90)
    go(space, "gang", (0, 1), (1, 2))
    space.await_job("gang", "succeeds", lambda job: job.status.phase == "Succeeded", 60)
