"""Kubernetes places the workers of a job together: jobs that each could get half of what they need do not block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dltrain import names
from dltrain.api.job import DLTrainJob
from tests.cluster.host import wait_for
from tests.e2e.jobs import PATIENT, go, script_job
from tests.e2e.live import Space

pytestmark = pytest.mark.e2e
GPU = "nvidia.com/gpu"
RACK = "example.com/rack"


def message(job: DLTrainJob) -> str:
    """Why a job does not run."""
    condition = job.status.condition("Running")
    return condition.message if condition is not None else ""


def hungry(name: str, replicas: int) -> dict[str, Any]:
    """A patient job, each of whose workers needs the GPU of a node."""
    job = script_job(name, PATIENT, replicas)
    job["spec"]["workers"]["resources"] = {"limits": {GPU: 1}}
    return job


def job_pods(space: Space) -> list[str]:
    """The pods of all jobs in the cluster."""
    return [pod["metadata"]["name"] for pod in space.live.read("get", "pods", "-A", "-l", names.JOB_LABEL)["items"]]


def pod_groups(space: Space) -> list[dict[str, Any]]:
    """The gangs of a namespace."""
    found: list[dict[str, Any]] = space.live.read("-n", space.name, "get", "podgroups.scheduling.k8s.io")["items"]
    return found


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
        space.await_job(waiting, "says why it waits", lambda job: "0 of" in message(job), 60)
        assert placed(space, waiting) == 0
    go(space, winner, (0, 1), (1, 1))
    space.await_job(winner, "succeeds", lambda job: job.status.phase == "Succeeded", 60)
    space.await_job(loser, "runs next", lambda job: job.status.phase == "Running", 60)
    assert placed(space, "large") == 0
    go(space, loser, (0, 1), (1, 1))
    space.await_job(loser, "succeeds", lambda job: job.status.phase == "Succeeded", 60)
    assert placed(space, "large") == 0


@contextmanager
def labelled(space: Space, **values: str) -> Iterator[None]:
    """Nodes with a label that says in which rack they are."""
    for node, value in values.items():
        space.live.kubectl("label", "node", node, f"{RACK}={value}")
    try:
        yield
    finally:
        space.live.kubectl("label", "node", *values, f"{RACK}-")


def test_a_gang_waits_for_room_in_one_rack_though_two_racks_have_it(space: Space) -> None:
    blocker, gang = hungry("blocker", 1), hungry("gang", 2)
    blocker["spec"]["workers"]["template"] = {"spec": {"nodeName": "node1"}}
    gang["spec"]["scheduling"] = {"topologyKey": RACK}
    # node1 would refuse a second one:
    wait_for("the pods of earlier tests to be gone", lambda: not job_pods(space), 120)
    with labelled(space, node1="a", node2="a", node3="b"):
        space.apply(blocker)
        space.await_job("blocker", "runs", lambda job: job.status.phase == "Running", 120)
        space.apply(gang)
        space.await_job("gang", "says why it waits", lambda job: "0 of 2" in message(job), 60)
        (group,) = wait_for("its group", lambda: pod_groups(space))  # its first status comes before all that it owns
        wait_for("its pods", lambda: len(space.pods("gang")) == 2)
        assert group["spec"]["schedulingConstraints"] == {"topology": [{"key": RACK}]}
        assert placed(space, "gang") == 0
        go(space, "blocker", (0, 1))
        space.await_job("gang", "runs", lambda job: job.status.phase == "Running", 120)
        nodes = {pod["spec"]["nodeName"] for pod in space.pods("gang").values()}
        assert nodes == {"node1", "node2"}
        go(space, "gang", (0, 1), (1, 1))
        space.await_job("gang", "succeeds", lambda job: job.status.phase == "Succeeded", 60)


def test_a_gang_is_preempted_as_one_and_goes_on_when_the_other_has_ended(space: Space) -> None:
    """A node is free, so the urgent one needs one more; but half a job would only hold its node."""
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    priority["metadata"] = {"name": f"urgent-{space.name}"}
    urgent = hungry("urgent", 2)
    urgent["spec"]["scheduling"] = {"priorityClassName": f"urgent-{space.name}"}
    space.live.create(priority)
    try:
        space.apply(hungry("usual", 2))
        space.await_job("usual", "runs", lambda job: job.status.phase == "Running", 120)
        space.apply(urgent)
        space.await_job("urgent", "runs", lambda job: job.status.phase == "Running", 120)
        space.await_job("usual", "waits as a whole", lambda job: "0 of 2" in message(job), 60)
        # It says so while its first pods still end:
        wait_for("its next pods alone", lambda: sorted(space.pods("usual")) == [(0, 2), (1, 2)])
        assert placed(space, "usual") == 0
        go(space, "urgent", (0, 1), (1, 1))
        space.await_job("urgent", "succeeds", lambda job: job.status.phase == "Succeeded", 60)
        again = space.await_job("usual", "runs again", lambda job: job.status.phase == "Running", 120)
        assert (again.status.attempt, again.status.restarts.user) == (2, 0)
        go(space, "usual", (0, 2), (1, 2))
        space.await_job("usual", "succeeds", lambda job: job.status.phase == "Succeeded", 60)
    finally:
        space.live.kubectl("delete", "priorityclass", f"urgent-{space.name}")


def test_a_lost_worker_of_a_gang_that_runs_is_placed_alone(space: Space) -> None:
    space.apply(hungry("gang", 2))
    space.await_job("gang", "runs", lambda job: job.status.phase == "Running", 120)
    space.kubectl("delete", "pod", "gang-1-1", "--wait=false")
    space.await_job("gang", "runs again", lambda job: job.status.phase == "Running" and job.status.attempt == 2, 90)
    go(space, "gang", (0, 1), (1, 2))
    space.await_job("gang", "succeeds", lambda job: job.status.phase == "Succeeded", 60)
