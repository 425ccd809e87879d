"""When and where pods are placed, and what becomes of jobs that wait for too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dltrain_operator.children.pod import Place, worker_pod
from dltrain_operator.plan import make_plan
from dltrain_operator.records import JobRecord
from tests.controller.builders import (
    SITE,
    UID,
    created,
    deleting,
    ended,
    job,
    later,
    observed,
    parsed,
    plan,
    pod,
    running,
    status_after,
    with_spec,
    with_status,
)
from tests.controller.cluster import Space

UNPLACED = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
LIMIT = {"startupDeadlineSeconds": 300}


def made(**scheduling: Any) -> dict[str, Any]:
    """The pod of a worker of a job with this scheduling."""
    place = Place(0, 1, "1", past_attempts=0, user_restarts=0)
    return worker_pod(parsed(replicas=3, scheduling=scheduling), place, SITE.image)


def test_a_priority_class_is_handed_on() -> None:
    assert made(priorityClassName="high")["spec"]["priorityClassName"] == "high"
    assert "priorityClassName" not in made()["spec"]


def test_workers_are_kept_where_one_label_has_one_value() -> None:
    rule = {"labelSelector": {"matchLabels": {"dltrain.io/job-name": "cifar"}}, "topologyKey": "rack"}
    assert made(topologyKey="rack")["spec"]["affinity"]["podAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": [rule]
    }
    assert "podAffinity" not in made()["spec"]["affinity"]


def test_a_queue_admits_the_workers_as_one_group() -> None:
    metadata = made(queueName="research")["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if "kueue" in key}
    assert labels == {"kueue.x-k8s.io/queue-name": "research", "kueue.x-k8s.io/pod-group-name": f"cifar-{UID[:8]}"}
    assert metadata["annotations"] == {"kueue.x-k8s.io/pod-group-total-count": "3"}
    assert "kueue" not in str(made())


def test_a_job_that_another_controller_manages_is_left_alone() -> None:
    assert plan(job(policy={"managedBy": "kueue.x-k8s.io/multikueue"})).quiet


def test_pods_that_a_queue_takes_back_are_replaced_once_all_of_them_have_ended() -> None:
    assert created(plan(running(), deleting(0), deleting(1), at=605)) == [(0, 2), (1, 2)], "without a queue at once"
    record = running(scheduling={"queueName": "research"})
    yields = plan(record, deleting(0), deleting(1), at=605)
    assert yields.status is not None
    assert (yields.status.incarnations, created(yields)) == ((2, 2), [])
    assert [(new.index, new.incarnation) for new in yields.held] == [(0, 2), (1, 2)]
    record, issued = with_status(record, yields.status), frozenset({(0, 2), (1, 2)})
    half = plan(record, deleting(0), ended(1, 143), at=606, issued=issued)
    assert created(half) == []
    gone = plan(record, ended(0, 143, deletes_at=later(630)), ended(1, 143), at=610, issued=issued)
    assert created(gone) == [(0, 2), (1, 2)]
    assert (half.status or yields.status).incarnations == (2, 2)
    assert (gone.status or yields.status).incarnations == (2, 2)


def test_the_pods_of_a_gang_that_is_preempted_are_replaced_once_all_of_them_have_ended() -> None:
    taken = [deleting(index, disruption="PreemptionByScheduler") for index in (0, 1)]
    site = replace(SITE, gangs="kubernetes")
    yields = make_plan(observed(running(), *taken), later(605), site)
    assert (created(yields), [(new.index, new.incarnation) for new in yields.held]) == ([], [(0, 2), (1, 2)])
    assert created(make_plan(observed(running(), *taken), later(605), SITE)) == [(0, 2), (1, 2)], "no gang: at once"
    lost = make_plan(observed(running(), pod(0), deleting(1)), later(605), site)
    assert created(lost) == [(1, 2)], "deleted by somebody: at once"
    assert yields.status is not None
    record, issued = with_status(running(), yields.status), frozenset({(0, 2), (1, 2)})
    half = make_plan(observed(record, taken[0], issued=issued), later(606), site)
    gone = make_plan(observed(record, issued=issued), later(610), site)
    assert (created(half), created(gone)) == ([], [(0, 2), (1, 2)])


# ------------------------------------------------------------ the deadline of the start
def waiting(policy: dict[str, Any]) -> Any:
    """A job whose pods were asked for at NOW, and which the scheduler has no place for."""
    fresh = job(policy=policy)
    asked = with_status(fresh, status_after(fresh))
    return with_status(asked, status_after(asked, *unplaced(), at=20))


def unplaced() -> list[Any]:
    """Its pods."""
    return [pod(index, phase="Pending", node="", trouble=UNPLACED) for index in range(2)]


def test_a_job_that_does_not_start_in_time_fails_with_the_schedulers_words() -> None:
    status = status_after(waiting(LIMIT), *unplaced(), at=300)
    assert (status.phase, status.failure and status.failure.reason) == ("Failed", "DeadlineExceeded")
    assert status.failure is not None
    assert status.failure.message == (
        "the job did not start within runPolicy.startupDeadlineSeconds, 5m00s: "
        f"0 of 2 workers run; cifar-0-1: {UNPLACED}"
    )


def test_until_then_it_waits_and_is_looked_at_in_time() -> None:
    waits = plan(waiting(LIMIT), *unplaced(), at=299)
    assert (waits.status, waits.requeue_at) == (None, later(300))


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([pod(0), pod(1)], id="it runs"),
        pytest.param([pod(0), pod(1, phase="Failed", exit_code=1)], id="it has run and restarts"),
    ],
)
def test_a_job_that_has_started_has_no_such_deadline(pods: list[Any]) -> None:
    record = running(policy=LIMIT)
    status = plan(record, *pods, at=10_000).status
    assert status is None or status.phase != "Failed"


def resumed() -> JobRecord:
    """A job that ran, was suspended, and asked for new pods at NOW + 60 s."""
    record = with_spec(running(policy=LIMIT), runPolicy={**LIMIT, "suspend": True})
    record = with_status(record, status_after(record, pod(0), pod(1), at=30))
    record = with_spec(record, runPolicy=LIMIT)
    return with_status(record, status_after(record, at=60))


@pytest.mark.parametrize(
    ("record", "asked_at", "incarnation"),
    [pytest.param(waiting(LIMIT), 0, 1, id="a new job"), pytest.param(resumed(), 60, 2, id="a resumed job")],
)
def test_a_pod_that_is_lost_before_an_attempt_runs_leaves_the_deadline_of_the_start_as_it_was(
    record: JobRecord, asked_at: float, incarnation: int
) -> None:
    first, lost = pod(0, incarnation), ended(1, 137, incarnation, at=asked_at + 100)
    decided = plan(record, first, lost, at=asked_at + 101)
    assert decided.status is not None
    assert (decided.status.phase, decided.status.restarts.infrastructure) == ("Pending", 1)
    assert [event.reason for event in decided.events] == ["WorkerReplaced"]
    record, unplaced_one = with_status(record, decided.status), pod(1, incarnation + 1, "Pending", trouble=UNPLACED)
    assert plan(record, first, lost, unplaced_one, at=asked_at + 299).requeue_at == later(asked_at + 300)
    status = status_after(record, first, lost, unplaced_one, at=asked_at + 300)
    assert (status.phase, status.failure and status.failure.reason) == ("Failed", "DeadlineExceeded")


def test_the_api_server_and_the_operator_agree_on_it(space: Space) -> None:
    space.submit("late", runPolicy={"startupDeadlineSeconds": 1})
    space.submit("other", runPolicy={"managedBy": "kueue.x-k8s.io/multikueue"})
    status = space.await_phase("Failed", "late")
    assert status["failure"]["message"].startswith("the job did not start within runPolicy.startupDeadlineSeconds, 1s")
    assert space.status("other") == {}
