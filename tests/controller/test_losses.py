"""Pods that nobody hears of, nodes that lose pods, jobs that change their size."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dltrain import names
from dltrain.api.status import JobStatus, NodeFailures
from dltrain_operator.children.scheduling import REQUIRED, avoiding
from dltrain_operator.losses import Loss, avoided_nodes, loss_of, with_losses
from dltrain_operator.records import JobRecord, PodRecord
from tests.controller.builders import (
    NOW,
    created,
    deleting,
    ended,
    heard,
    job,
    later,
    plan,
    pod,
    running,
    status_after,
    with_spec,
    with_status,
)

ELASTIC = {"elastic": {"minReplicas": 1, "maxReplicas": 4}}
STARTED: dict[str, Any] = {"started_at": NOW}
CUT_OFF: dict[str, Any] = {"unreachable": True, **STARTED}


def names_of(pods: tuple[PodRecord, ...]) -> list[str]:
    """The names of pods."""
    return [one.name for one in pods]


def without(index: int, *, silent: bool, **more: Any) -> dict[str, Any]:
    """The notes after the coordinator has said that one of two members is missing."""
    rest = tuple(other for other in range(2) if other != index)
    return {**heard("gathering", members=rest, silent=(index,) if silent else ()), **more}


# ---------------------------------------------------------------- silence
@pytest.mark.parametrize(
    ("member", "notes", "replaced"),
    [
        pytest.param(pod(1, **STARTED), without(1, silent=True), True, id="silent for long"),
        pytest.param(pod(1, **STARTED), without(1, silent=False), False, id="missing, not yet for long"),
        pytest.param(pod(1, **CUT_OFF), without(1, silent=False), True, id="missing, and Kubernetes hears nothing too"),
        pytest.param(pod(1, **CUT_OFF), heard("running", members=(0, 1)), False, id="cut off from Kubernetes alone"),
        pytest.param(pod(1, started_at=later(590)), without(1, silent=True), False, id="it has just started"),
        pytest.param(
            pod(1, seen_running_at=later(590), **STARTED),
            without(1, silent=True),
            False,
            id="it has just started, and its node's clock is behind",
        ),
        pytest.param(
            pod(1, seen_running_at=NOW, unreachable=True, started_at=later(3600)),
            without(1, silent=True),
            True,
            id="silent for long, and its node's clock is ahead",
        ),
        pytest.param(pod(1, phase="Pending"), without(1, silent=True), False, id="it has not started"),
        pytest.param(
            pod(1, **STARTED),
            without(1, silent=True, unheard="uid-cifar-0-1", unheard_since=NOW),
            False,
            id="what the operator knows is old",
        ),
        pytest.param(
            pod(1, **STARTED), {**without(1, silent=True), "coordinator": "another"}, False, id="said by a former one"
        ),
    ],
)
def test_a_member_is_replaced_once_its_coordinator_has_not_heard_of_it(
    member: PodRecord, notes: dict[str, Any], replaced: bool
) -> None:
    decided = plan(running(), pod(0), member, at=600, **notes)
    assert created(decided) == ([(1, 2)] if replaced else [])
    assert names_of((*decided.remove, *decided.force)) == (["cifar-1-1"] if replaced else [])
    assert names_of(decided.force) == (["cifar-1-1"] if replaced and member.unreachable else [])


def test_a_pod_that_has_just_started_is_looked_at_again() -> None:
    decided = plan(running(), pod(0), pod(1, started_at=later(590)), at=600, **without(1, silent=True))
    assert decided.requeue_at == later(620)


@pytest.mark.parametrize(
    ("unreachable", "silence", "replaced"),
    [
        pytest.param(True, 30, True, id="nobody hears of it"),
        pytest.param(True, 29, False, id="not yet for long"),
        pytest.param(False, 600, False, id="the operator alone is cut off"),
    ],
)
def test_a_coordinator_is_replaced_only_if_kubernetes_hears_nothing_either(
    unreachable: bool, silence: float, replaced: bool
) -> None:
    coordinator = pod(0, unreachable=unreachable, started_at=NOW)
    notes = {"unheard": coordinator.uid, "unheard_since": later(600 - silence), **heard("running")}
    decided = plan(running(), coordinator, pod(1), at=600, **notes)
    assert created(decided) == ([(0, 2)] if replaced else [])


def test_memberLostSeconds_is_the_jobs_to_choose() -> None:  # noqa: N802 - the field's name
    record = running(guards={"memberLostSeconds": 100})
    young = plan(record, pod(0), pod(1, started_at=later(520)), at=600, **without(1, silent=True))
    assert (created(young), young.requeue_at) == ([], later(620))


def test_a_silent_pod_is_told_of_and_its_node_avoided() -> None:
    decided = plan(running(), pod(0), pod(1, **STARTED), at=600, **without(1, silent=True))
    assert decided.status is not None
    assert decided.status.node_failures == (
        NodeFailures(node="node-1", count=1, reason="AgentSilent", time=later(600), avoid_until=later(900)),
    )
    notes = [event.note for event in decided.events if event.reason == "WorkerReplaced"]
    assert notes == ["cifar-1-1 is not heard of any more: cifar-1-2 replaces it"]
    made = decided.pods[0].manifest
    assert made["metadata"]["annotations"][names.AVOIDED_NODES_ANNOTATION] == "node-1"
    assert made["spec"]["affinity"]["nodeAffinity"][REQUIRED] == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-1"]}]}]
    }


def test_a_pod_whose_kubelet_is_gone_is_deleted_by_force() -> None:
    stuck, slow = deleting(1, unreachable=True), deleting(1, 2)
    decided = plan(running(), pod(0), stuck, slow, pod(1, 3), at=600, **heard("running"))
    assert names_of(decided.force) == ["cifar-1-1"]


# ---------------------------------------------------------------- the ledger
@pytest.mark.parametrize(
    ("lost", "silent", "loss"),
    [
        pytest.param(pod(1), True, Loss("AgentSilent", "node-1", "node", counts=True), id="silent"),
        pytest.param(
            deleting(1, disruption="DeletionByTaintManager", unreachable=True),
            False,
            Loss("NodeNotReady", "node-1", "node", counts=True),
            id="its node is not ready",
        ),
        pytest.param(
            ended(1, 137, disruption="TerminationByKubelet"),
            False,
            Loss("TerminationByKubelet", "node-1", "node", counts=True),
            id="evicted for the node's memory",
        ),
        pytest.param(
            pod(1, phase="Failed", trouble="UnexpectedAdmissionError: no GPU"),
            False,
            Loss("UnexpectedAdmissionError", "node-1", "node", counts=True),
            id="refused by the kubelet",
        ),
        pytest.param(ended(1, 137), False, Loss("AgentFailed", "node-1", "repeated", counts=True), id="its agent died"),
        pytest.param(ended(1, 143), False, Loss("ToldToEnd", "node-1", "none", counts=False), id="told to end"),
        pytest.param(
            deleting(1, disruption="PreemptionByScheduler"),
            False,
            Loss("PreemptionByScheduler", "node-1", "none", counts=False),
            id="preempted",
        ),
        pytest.param(deleting(1), False, Loss("Deleted", "node-1", "none", counts=False), id="deleted by somebody"),
        pytest.param(None, False, Loss("Vanished", "", "none", counts=True), id="vanished"),
    ],
)
def test_how_a_pod_was_lost(lost: PodRecord | None, silent: bool, loss: Loss) -> None:
    assert loss_of(lost, silent=silent) == loss


def after_losses(blame: Any, *seconds: float) -> JobStatus:
    """The status after losses on one node, so many seconds after NOW."""
    status = JobStatus()
    for at in seconds:
        status = with_losses(status, [Loss("Why", "node-1", blame, counts=True)], later(at))
    return status


@pytest.mark.parametrize(
    ("blame", "seconds", "avoided"),
    [
        pytest.param("node", (0,), 300, id="the node, once"),
        pytest.param("node", (0, 600), 1200, id="twice: twice as long"),
        pytest.param("node", (0, 1, 2, 3, 4, 5, 6), 3606, id="an hour at most"),
        pytest.param("repeated", (0,), None, id="an agent that died says nothing of its node"),
        pytest.param("repeated", (0, 60), 360, id="unless another one dies there"),
    ],
)
def test_a_node_that_loses_pods_is_avoided_for_a_while(
    blame: Any, seconds: tuple[float, ...], avoided: float | None
) -> None:
    (entry,) = after_losses(blame, *seconds).node_failures or ()
    assert (entry.count, entry.avoid_until) == (len(seconds), None if avoided is None else later(avoided))


def test_avoidance_expires_and_failures_are_forgotten() -> None:
    status = after_losses("node", 0)
    assert avoided_nodes(status, later(299)) == ("node-1",)
    assert avoided_nodes(status, later(300)) == ()
    assert with_losses(status, [], later(86_399)).node_failures == status.node_failures
    assert with_losses(status, [], later(86_400)).node_failures is None


def test_the_demand_to_avoid_a_node_is_added_to_every_alternative_of_the_users() -> None:
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in "ab"]
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}, "podAntiAffinity": {"x": 1}}
    made = avoiding({"metadata": {}, "spec": {"affinity": affinity}}, ("n1", "n2"))
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in ("n1", "n2")]
    expected = [{**term, "matchFields": fields} for term in terms]
    assert made["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == expected
    assert made["spec"]["affinity"]["podAntiAffinity"] == {"x": 1}


def test_a_pod_that_finds_no_other_node_may_use_one_that_is_avoided() -> None:
    lost = plan(running(), pod(0), pod(1, **STARTED), at=600, **without(1, silent=True))
    assert lost.status is not None
    record = with_status(running(), lost.status)
    waiting = pod(1, 2, "Pending", node="", avoids=True, created_at=later(600))
    early = plan(record, pod(0), waiting, at=659, **heard("gathering"))
    assert (created(early), early.requeue_at) == ([], later(660))
    decided = plan(record, pod(0), waiting, at=660, **heard("gathering"))
    assert (created(decided), names_of(decided.remove)) == ([(1, 3)], ["cifar-1-2"])
    assert names.AVOIDED_NODES_ANNOTATION not in decided.pods[0].manifest["metadata"].get("annotations", {})
    assert decided.status is not None
    assert decided.status.restarts == lost.status.restarts, "this is no further loss"


# ---------------------------------------------------------------- the hourly limit
def test_losses_are_counted_by_the_hour() -> None:
    status = after_losses("none", 0, 60)
    assert (status.restarts.hour, status.restarts.hour_since) == (2, NOW)
    status = with_losses(status, [Loss("Why", "", "none", counts=True)], NOW + timedelta(hours=1))
    assert (status.restarts.hour, status.restarts.hour_since) == (1, later(3600))


def test_a_job_that_loses_too_many_pods_within_an_hour_fails() -> None:
    record = running(policy={"lostPodsPerHour": 1})
    once = with_status(record, status_after(record, pod(0), ended(1, 137), at=605, **heard("running")))
    assert plan(once, pod(0), pod(1, 2), at=606, **heard("running")).status is not None
    twice = with_status(once, status_after(once, pod(0), ended(1, 137, 2, at=700), at=705, **heard("running")))
    decided = plan(twice, pod(0), pod(1, 3), at=706, **heard("running"))
    assert decided.status is not None
    assert decided.status.failure is not None
    assert (decided.status.phase, decided.status.failure.reason) == ("Failed", "WorkerLost")
    assert decided.status.failure.message == (
        "2 worker pods were lost within an hour, more than runPolicy.lostPodsPerHour, 1; "
        "the latest on node-1 (2: AgentFailed)"
    )


def after_losing(count: int, **spec: Any) -> JobRecord:
    """A job that has lost so many pods since NOW."""
    record = running(**spec)
    status = JobStatus.model_validate(record.load()["status"])
    restarts = status.restarts.model_copy(update={"hour": count, "hour_since": NOW})
    return with_status(record, status.model_copy(update={"restarts": restarts}))


def test_pods_that_were_lost_in_an_hour_that_is_over_fail_no_job() -> None:
    record = after_losing(100, policy={"lostPodsPerHour": 99})
    assert status_after(record, pod(0), pod(1), at=3599, **heard("running")).phase == "Failed"
    assert plan(record, pod(0), pod(1), at=3600, **heard("running")).quiet


def test_an_elastic_job_that_is_made_smaller_may_lose_no_fewer_pods() -> None:
    most = 60 + 2 * 4
    small = scaled(after_losing(most, replicas=4, **ELASTIC), 1)
    assert status_after(small, pod(0), at=60, **heard("running")).phase == "Running"
    failed = status_after(after_losing(most + 1, **ELASTIC), pod(0), pod(1), at=60, **heard("running"))
    assert (failed.failure and failed.failure.message) == (
        "69 worker pods were lost within an hour, more than runPolicy.lostPodsPerHour, 68"
    )


# ---------------------------------------------------------------- size
def scaled(record: JobRecord, replicas: int) -> JobRecord:
    """An elastic job that is to have another number of workers."""
    return with_spec(record, workers={"replicas": replicas})


def test_a_job_that_is_scaled_up_gets_more_pods_while_its_attempt_runs() -> None:
    decided = plan(scaled(running(**ELASTIC), 3), pod(0), pod(1), at=600, **heard("running", workers=(0, 1)))
    assert created(decided) == [(2, 1)]
    assert decided.status is not None
    assert decided.status.phase == "Running"
    running_now = decided.status.condition("Running")
    assert running_now is not None
    assert running_now.message == "attempt 1 runs on 2 of 3 workers"
    assert decided.observe is not None
    assert decided.observe.replicas == 3


def test_a_job_that_is_scaled_down_loses_its_last_pods_and_keeps_their_numbers() -> None:
    decided = plan(scaled(running(**ELASTIC), 1), pod(0), pod(1, 4), at=600, **heard("running"))
    assert names_of(decided.remove) == ["cifar-1-4"]
    small = with_status(scaled(running(**ELASTIC), 1), JobStatus(incarnations=(1, 4)))
    status = status_after(small, pod(0), at=600, **heard("running"))
    assert status.incarnations == (1, 4)
    again = with_status(scaled(small, 2), status)
    assert created(plan(again, pod(0), at=601, **heard("running"))) == [(1, 5)]


def test_a_job_that_is_not_elastic_does_not_run_on_fewer() -> None:
    lost = ended(1, 137)
    assert status_after(running(), pod(0), lost, at=601, **heard("running", workers=(0,))).phase == "Restarting"
    status = status_after(running(**ELASTIC), pod(0), lost, at=601, **heard("running", workers=(0,)))
    assert status.phase == "Running"


def test_pods_beyond_the_size_are_left_alone_once_they_are_being_deleted() -> None:
    record = scaled(running(**ELASTIC), 1)
    assert plan(record, pod(0), deleting(1), at=600, **heard("running")).remove == ()


def test_what_is_told_of_the_nodes_fits_into_a_status() -> None:
    status = JobStatus()
    for number in range(100):
        status = with_losses(status, [Loss("Why", f"node-{number}", "node", counts=True)], later(number))
    assert [entry.node for entry in status.node_failures or ()] == [f"node-{number}" for number in range(99, 83, -1)]


def test_a_fresh_job_tells_of_no_nodes() -> None:
    assert "nodeFailures" not in replace(job()).load()["status"]
    assert with_losses(JobStatus(), [], NOW) == JobStatus()
