"""What the operator decides to do about one job."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dltrain.api.status import CheckpointStatus, Failure, JobStatus, Restarts, Results
from dltrain_operator.actions import Plan, Target
from dltrain_operator.observed import Observed
from dltrain_operator.plan import make_plan
from dltrain_operator.records import JobRecord, PodRecord
from dltrain_operator.status import worker_counts
from tests.controller.builders import (
    NOW,
    SITE,
    UID,
    children,
    created,
    deleting,
    ended,
    heard,
    job,
    job_object,
    later,
    observed,
    parsed,
    pending,
    plan,
    pod,
    progress,
    running,
    says,
    status_after,
    with_spec,
    with_status,
)

FAILURE = Failure(reason="UserError", message="rank 1 exited with 3", rank=1, exit_code=3)
CHECKPOINT = CheckpointStatus(step=40, time=NOW, uri="pvc://models/cifar")
RESULTS = Results(metrics={"accuracy": 0.9}, artifacts="pvc://models/cifar/export")
BOTH = (pod(0), pod(1))


def removed(decided: Plan) -> list[str]:
    """The names of the pods that a plan deletes."""
    return [old.name for old in decided.remove]


def reasons(decided: Plan) -> list[str]:
    """The reasons of the events that a plan posts."""
    return [event.reason for event in decided.events]


def why(status: JobStatus, kind: Any = "Running") -> tuple[str, str, str]:
    """The status, the reason and the message of a condition."""
    condition = status.condition(kind)
    assert condition is not None
    return condition.status, condition.reason, condition.message


# ---------------------------------------------------------------- the way to the end
def test_a_new_job_is_accepted_and_its_numbers_are_recorded_before_its_pods_are_created() -> None:
    record = job()
    decided = make_plan(Observed(job=record), NOW, SITE)
    assert decided.status is not None
    assert decided.status.to_dict() == {
        "phase": "Pending",
        "conditions": [
            {
                "type": "Accepted",
                "status": "True",
                "reason": "Valid",
                "message": "the job follows the contract",
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "observedGeneration": 1,
            },
            {
                "type": "Running",
                "status": "False",
                "reason": "WaitingForWorkers",
                "message": "0 of 2 workers run",
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "observedGeneration": 1,
            },
        ],
        "observedGeneration": 1,
        "workers": {"desired": 2, "ready": 0, "summary": "0/2", "selector": "dltrain.io/job-name=cifar"},
        "incarnations": [1, 1],
        "keyVersion": "1",
        "attempt": 0,
        "restarts": {"user": 0, "infrastructure": 0, "total": 0},
        "startTime": "2026-03-01T12:00:00Z",
    }
    assert created(decided) == [(0, 1), (1, 1)]
    assert [child["kind"] for child in decided.children] == ["ConfigMap", "Service", "NetworkPolicy"]
    assert reasons(decided) == ["Accepted"]


@pytest.mark.parametrize(
    ("pods", "notes", "phase", "reason"),
    [
        pytest.param((pod(0, phase="Pending"), pod(1)), {}, "Pending", "WaitingForWorkers", id="one of two pods runs"),
        pytest.param(BOTH, {}, "Starting", "WaitingForGroup", id="all pods run, no word from the group"),
        pytest.param(BOTH, heard("gathering", 0), "Starting", "WaitingForGroup", id="the group gathers"),
        pytest.param(BOTH, heard("running"), "Running", "AttemptRunning", id="an attempt runs"),
        pytest.param(
            (pod(0), pod(1, phase="Pending")), heard("running"), "Pending", "WaitingForWorkers", id="stale word"
        ),
        pytest.param(BOTH, heard("running", incarnation=9), "Starting", "WaitingForGroup", id="word of an older pod"),
        pytest.param(BOTH, heard("succeeded"), "Starting", "WaitingForGroup", id="success is the exit code's to tell"),
    ],
)
def test_phase_of_a_starting_job(pods: tuple[PodRecord, ...], notes: dict[str, Any], phase: str, reason: str) -> None:
    status = plan(pending(), *pods, at=60, written_at=NOW, **notes).status
    assert status is not None
    assert (status.phase, why(status)[1]) == (phase, reason)


def test_a_normal_life_takes_four_status_writes() -> None:
    record, writes = job(), []
    notes: dict[str, Any] = {}
    steps: list[tuple[tuple[PodRecord, ...], dict[str, Any]]] = [
        ((), {}),
        ((pod(0, phase="Pending"), pod(1, phase="Pending")), {}),
        ((pod(0), pod(1, phase="Pending")), {}),
        ((pod(0), replace(pod(1), ready=False)), {}),
        (BOTH, {}),
        (BOTH, heard("gathering", 0)),
        (BOTH, heard("running", 1)),
        (BOTH, heard("succeeded", 1)),
        ((pod(0), ended(1, 0, at=3)), heard("succeeded", 1)),
        ((ended(0, 0, at=3, account=says("succeeded").model_dump_json()), ended(1, 0, at=3)), heard("succeeded", 1)),
        ((ended(0, 0, at=3), ended(1, 0, at=3)), heard("succeeded", 1)),
    ]
    for second, (pods, said) in enumerate(steps):
        notes |= said
        decided = plan(record, *pods, at=second * 0.5, **notes)
        if decided.status is not None:
            notes["written_at"] = later(second * 0.5)
            record = with_status(record, decided.status)
            writes.append(decided.status.phase)
    assert writes == ["Pending", "Starting", "Running", "Succeeded"]


def test_a_job_at_rest_needs_nothing() -> None:
    assert plan(running(), *BOTH, at=3600, **heard("running")).quiet


def test_an_operator_that_starts_anew_believes_the_status_until_it_hears_otherwise() -> None:
    decided = plan(running(), *BOTH, at=3600)
    assert decided.quiet
    assert decided.observe == Target(pod="uid-cifar-0-1", address="10.0.0.0", job=UID, key_version="1")


@pytest.mark.parametrize(
    ("coordinator", "observes"),
    [
        pytest.param(pod(0), True, id="running with an address"),
        pytest.param(pod(0, phase="Pending"), False, id="not running yet"),
        pytest.param(pod(0, address=""), False, id="without an address"),
        pytest.param(deleting(0), False, id="being deleted"),
    ],
)
def test_the_coordinator_is_observed_while_it_can_be_dialled(coordinator: PodRecord, observes: bool) -> None:
    assert (plan(running(), coordinator, pod(1)).observe is not None) == observes


def test_a_job_being_deleted_is_left_alone() -> None:
    assert plan(replace(job(), deleting=True), pod(0, 1)) == Plan()


# ---------------------------------------------------------------- how it ends
def test_exit_code_0_of_worker_0_completes_the_job() -> None:
    account = says("succeeded", results=RESULTS, checkpoint=CHECKPOINT, progress=progress(100)).model_dump_json()
    decided = plan(running(), ended(0, 0, account=account), ended(1, 0), at=601, **heard("running"))
    assert decided.status is not None
    status = decided.status
    assert (status.phase, status.is_true("Complete"), status.is_true("Running")) == ("Succeeded", True, False)
    assert (status.results, status.checkpoint, status.progress) == (RESULTS, CHECKPOINT, progress(100))
    assert (status.completion_time, status.workers) == (later(601), worker_counts(parsed()))
    assert (reasons(decided), created(decided), removed(decided)) == (["Completed"], [], [])


@pytest.mark.parametrize("account", ["", "{", "Killed"], ids=["none", "cut", "not ours"])
def test_without_a_termination_message_the_last_word_counts(account: str) -> None:
    status = status_after(running(), ended(0, 0, account=account), pod(1), at=601, **heard("running", results=RESULTS))
    assert (status.phase, status.results) == ("Succeeded", RESULTS)


@pytest.mark.parametrize(
    ("heard_state", "attempt", "known"), [("succeeded", 1, True), ("running", 1, False), ("succeeded", 2, False)]
)
def test_what_was_heard_counts_beside_a_termination_message_of_the_same_outcome_which_may_be_shortened(
    heard_state: str, attempt: int, known: bool
) -> None:
    shortened = RESULTS.model_copy(update={"artifacts": None})
    account = says("succeeded", 1, results=shortened).model_dump_json()
    status = status_after(
        running(), ended(0, 0, account=account), at=601, **heard(heard_state, attempt, results=RESULTS)
    )
    assert status.results == (RESULTS if known else shortened)


def test_exit_code_64_of_worker_0_fails_the_job_with_the_cause_it_left() -> None:
    account = says("failed", 4, failure=FAILURE, user_restarts=3).model_dump_json()
    decided = plan(running(), ended(0, 64, account=account), pod(1), at=601, **heard("running"))
    assert decided.status is not None
    status = decided.status
    assert (status.phase, status.failure, status.attempt) == ("Failed", FAILURE, 4)
    assert status.restarts == Restarts(user=3, infrastructure=0, total=3)
    assert why(status, "Failed") == ("True", "UserError", "rank 1 exited with 3")
    assert reasons(decided) == ["Failed"]


def test_exit_code_64_without_a_word_still_says_where_to_look() -> None:
    status = status_after(running(), ended(0, 64), pod(1), at=601)
    assert status.failure == Failure(
        reason="LaunchFailed",
        message="the agent of cifar-0-1 ended with exit code 64 and left no account; see its log",
        pod="cifar-0-1",
        node="node-0",
        exit_code=64,
    )


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_what_a_living_coordinator_says_ends_no_job(state: str) -> None:
    assert plan(running(), *BOTH, at=60, **heard(state)).quiet


@pytest.mark.parametrize(
    "left",
    [
        pytest.param((pod(1),), id="gone"),
        pytest.param((deleting(0, until=90), pod(1)), id="being deleted"),
        pytest.param((ended(0, 137), pod(1)), id="killed at the farewell"),
        pytest.param((ended(1, 0),), id="gone with the others at work's end"),
    ],
)
def test_a_coordinator_that_is_lost_after_it_said_that_the_job_has_succeeded_is_not_replaced(
    left: tuple[PodRecord, ...],
) -> None:
    decided = plan(running(), *left, at=60, **heard("succeeded", results=RESULTS))
    assert decided.status is not None
    assert (decided.status.phase, decided.status.results, created(decided)) == ("Succeeded", RESULTS, [])


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_coordinator_that_is_lost_with_any_other_last_word_is_replaced(state: str) -> None:
    decided = plan(running(), pod(1), at=60, **heard(state))
    assert decided.status is not None
    assert (decided.status.phase, created(decided)) == ("Restarting", [(0, 2)])


def test_what_an_earlier_coordinator_said_ends_no_job() -> None:
    decided = plan(running(), pod(0, 2), pod(1), at=60, **heard("running", 1, 2))
    assert decided.status is None or decided.status.phase != "Succeeded"


def test_a_suspended_job_whose_worker_0_still_exits_with_0_is_complete() -> None:
    record = with_spec(running(), runPolicy={"suspend": True})
    record = with_status(record, status_after(record, *BOTH, at=60))
    status = status_after(record, ended(0, 0, deletes_at=later(90)), deleting(1, until=90), at=61)
    assert (status.phase, status.is_true("Suspended"), status.is_true("Complete")) == ("Succeeded", False, True)


def test_a_job_past_its_deadline_fails_and_loses_its_pods_at_once() -> None:
    record = running(policy={"activeDeadlineSeconds": 3600})
    assert plan(record, *BOTH, at=3599).requeue_at == later(3600)
    decided = plan(record, *BOTH, at=3600)
    assert decided.status is not None
    message = "the job did not end within runPolicy.activeDeadlineSeconds, 1h00m"
    assert why(decided.status, "Failed") == ("True", "DeadlineExceeded", message)
    assert decided.status.failure == Failure(reason="DeadlineExceeded", message=message)
    assert removed(decided) == ["cifar-0-1", "cifar-1-1"]


def test_an_object_that_the_api_server_calls_invalid_fails_the_job() -> None:
    decided = plan(pending(), at=1, refusal='Pod "cifar-0-1" is invalid: spec.priority: must not be set')
    assert decided.status is not None
    assert decided.status.phase == "Failed"
    assert why(decided.status, "Failed")[1:] == (
        "InvalidSpec",
        'Pod "cifar-0-1" is invalid: spec.priority: must not be set',
    )
    assert created(decided) == []


def test_a_spec_that_breaks_the_contract_is_rejected_with_every_problem() -> None:
    record = with_spec(job(), workers={"replicas": 0, "pods": 3})
    decided = plan_without_children(record)
    assert decided.status is not None
    known = "image, replicas, resources, slotsPerWorker, template"
    problems = (
        f"spec.workers.pods: is not a field (got 3); remove it; known here: {known}",
        "spec.workers.replicas: must be at least 1 (got 0); set 1 or more",
    )
    assert why(decided.status, "Accepted") == ("False", "InvalidSpec", "\n".join(problems))
    assert (decided.status.phase, decided.status.completion_time) == ("Failed", NOW)
    assert reasons(decided) == ["Rejected", "Failed"]
    assert plan_without_children(with_status(record, decided.status)) == Plan()


def plan_without_children(record: JobRecord, *pods: PodRecord, at: float = 0) -> Plan:
    """The plan for a job whose spec may be invalid."""
    return make_plan(Observed(job=record, pods=pods), later(at), SITE)


def not_understood(**policy: Any) -> JobRecord:
    """A job that runs, and whose spec and policy are those of another version of the operator."""
    return with_spec(running(), spares=1, runPolicy={"patience": 3, **policy})


def rejected(record: JobRecord) -> JobRecord:
    """The same after its rejection at NOW + 600 s."""
    status = plan_without_children(record, *BOTH, at=600).status
    assert status is not None
    return with_status(record, status)


def test_a_job_that_runs_and_is_not_understood_any_more_fails_and_loses_its_pods() -> None:
    decided = plan_without_children(not_understood(), *BOTH, at=600)
    assert decided.status is not None
    assert (decided.status.phase, decided.status.failure and decided.status.failure.reason) == ("Failed", "InvalidSpec")
    assert (removed(decided), decided.requeue_at) == (["cifar-0-1", "cifar-1-1"], None)


def test_the_pods_of_a_rejected_job_go_though_whoever_wrote_its_end_got_no_further() -> None:
    record = rejected(not_understood())
    assert plan_without_children(record, pod(0), ended(1, 1), at=601) == Plan(remove=(pod(0),))
    assert plan_without_children(record, deleting(0), ended(1, 1), at=601) == Plan()


def test_pods_of_a_rejected_job_whose_kubelets_are_gone_are_deleted_by_force() -> None:
    record = not_understood()
    lost, stuck = pod(0, unreachable=True), deleting(1, unreachable=True)
    for each in (record, rejected(record)):
        decided = plan_without_children(each, lost, stuck, at=601)
        assert (decided.remove, decided.force) == ((), (lost, stuck))


def test_what_can_be_read_of_a_rejected_jobs_policy_holds() -> None:
    record = not_understood(ttlSecondsAfterFinished=100, cleanPodPolicy="All")
    assert plan_without_children(record, *BOTH, at=600).requeue_at == later(700)
    waits = plan_without_children(rejected(record), ended(0, 1), at=699)
    assert waits == Plan(remove=(ended(0, 1),), requeue_at=later(700))
    assert plan_without_children(rejected(record), at=700) == Plan(delete_job=True)
    changed = rejected(not_understood(ttlSecondsAfterFinished="soon", cleanPodPolicy="All"))
    assert plan_without_children(changed, ended(0, 1), at=10_000) == Plan(remove=(ended(0, 1),))


def with_newer_status(record: JobRecord, **fields: Any) -> JobRecord:
    """The record of a job whose status a newer version has written, with a condition that this one does not know."""
    document = record.load()
    condition = {"type": "Rebalanced", "status": "True", "reason": "New", "lastTransitionTime": "2026-03-01T12:00:00Z"}
    document["status"] |= {"conditions": [*document["status"]["conditions"], condition], **fields}
    return replace(record, document=json.dumps(document))


def test_a_job_whose_status_is_not_understood_fails_and_keeps_what_can_be_read_of_it() -> None:
    record = with_newer_status(running(), attempt=7, lastRestart={"reason": "Quirk"})
    decided = plan_without_children(record, *BOTH, at=600)
    assert decided.status is not None
    assert (decided.status.phase, decided.status.attempt, decided.status.last_restart) == ("Failed", 7, None)
    assert removed(decided) == ["cifar-0-1", "cifar-1-1"]


def test_a_job_that_has_ended_is_cleared_away_though_its_status_is_not_understood() -> None:
    record = with_newer_status(finished(ttlSecondsAfterFinished=100))
    assert plan_without_children(record, at=699) == Plan(requeue_at=later(700))
    assert plan_without_children(record, at=700) == Plan(delete_job=True)


def test_a_job_of_another_controller_is_not_rejected_either() -> None:
    record = not_understood(managedBy="kueue.x-k8s.io/multikueue")
    assert plan_without_children(record, *BOTH, at=600) == Plan()


# ---------------------------------------------------------------- after the end
def finished(**policy: Any) -> JobRecord:
    """A job that completed at NOW + 600 s."""
    record = running(policy=policy)
    return with_status(record, status_after(record, ended(0, 0), pod(1), at=600))


@pytest.mark.parametrize(
    ("policy", "pods", "at", "gone", "again"),
    [
        pytest.param({}, (ended(0, 0), ended(1, 0)), 601, [], None, id="ended pods stay for their logs"),
        pytest.param({}, (ended(0, 0), pod(1)), 601, [], 610, id="a running pod may end by itself"),
        pytest.param({}, (ended(0, 0), pod(1)), 610, ["cifar-1-1"], None, id="a pod that does not end is deleted"),
        pytest.param({}, (ended(0, 0), deleting(1)), 610, [], None, id="deletion is asked for once"),
        pytest.param(
            {"cleanPodPolicy": "All"}, (ended(0, 0), pod(1)), 601, ["cifar-0-1"], 610, id="All: ended pods go at once"
        ),
        pytest.param(
            {"cleanPodPolicy": "All"}, (ended(0, 0), pod(1)), 611, ["cifar-0-1", "cifar-1-1"], None, id="All: the rest"
        ),
    ],
)
def test_pods_after_the_end(
    policy: dict[str, Any], pods: tuple[PodRecord, ...], at: float, gone: list[str], again: float | None
) -> None:
    decided = plan(finished(**policy), *pods, at=at)
    assert (decided.status, removed(decided)) == (None, gone)
    assert decided.requeue_at == (None if again is None else later(again))


def test_a_finished_job_is_deleted_when_its_time_has_passed() -> None:
    record = finished(ttlSecondsAfterFinished=100)
    waits, acts = plan(record, at=699), plan(record, at=700)
    assert (waits.delete_job, waits.requeue_at) == (False, later(700))
    assert (acts.delete_job, acts.requeue_at) == (True, None)


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param((), id="no pods left"),
        pytest.param((pod(0), pod(1)), id="pods that run"),
        pytest.param((ended(0, 64), ended(1, 1)), id="pods that failed"),
    ],
)
def test_a_finished_job_stays_finished(pods: tuple[PodRecord, ...]) -> None:
    decided = plan(finished(), *pods, at=605, **heard("running", 2))
    assert (decided.status, created(decided), decided.children, decided.observe) == (None, [], (), None)


def test_a_change_of_a_finished_job_is_only_acknowledged() -> None:
    before = finished()
    status = plan(with_spec(before, runPolicy={"suspend": True}), at=700).status
    old = JobStatus.model_validate(before.load()["status"])
    assert status == old.model_copy(update={"observed_generation": 2})


# ---------------------------------------------------------------- lost workers
@pytest.mark.parametrize(
    ("lost", "how"),
    [
        pytest.param(ended(1, 137), "ended with exit code 137", id="exited"),
        pytest.param(
            pod(1, phase="Failed", trouble="Evicted: low on memory"), "failed (Evicted: low on memory)", id="evicted"
        ),
        pytest.param(deleting(1), "is being deleted", id="being deleted"),
        pytest.param(None, "is gone", id="gone"),
    ],
)
def test_a_lost_worker_is_replaced_under_a_new_number(lost: PodRecord | None, how: str) -> None:
    pods = (pod(0), *([lost] if lost else []))
    decided = plan(running(), *pods, at=605, **heard("running"))
    assert decided.status is not None
    assert (decided.status.incarnations, created(decided)) == ((1, 2), [(1, 2)])
    counts = decided.status.restarts
    assert (counts.user, counts.infrastructure, counts.total) == (0, 1, 1)
    assert (decided.status.phase, why(decided.status)[1]) == ("Restarting", "Restarting")
    assert [event.note for event in decided.events if event.reason == "WorkerReplaced"] == [
        f"cifar-1-1 {how}: cifar-1-2 replaces it"
    ]


def test_a_lost_coordinator_hands_its_count_of_user_errors_on() -> None:
    account = says("ending", 3, user_restarts=2, failure=FAILURE).model_dump_json()
    decided = plan(running(), ended(0, 137, account=account), pod(1), at=605)
    assert decided.status is not None
    counts = decided.status.restarts
    assert (counts.user, counts.infrastructure, counts.total, decided.status.attempt) == (2, 1, 3, 3)
    environment = {
        entry["name"]: entry.get("value") for entry in decided.pods[0].manifest["spec"]["containers"][0]["env"]
    }
    handed_on = [environment[f"DLTRAIN_{name}"] for name in ("PAST_ATTEMPTS", "USER_RESTARTS", "INCARNATION")]
    assert handed_on == ["3", "2", "2"]


def test_a_restarting_job_runs_again_when_its_group_does() -> None:
    lost = running()
    lost = with_status(lost, status_after(lost, pod(0), at=605))
    waits = status_after(lost, pod(0), pod(1, 2), at=700, **heard("gathering"))
    assert (waits.phase, why(waits)) == (
        "Restarting",
        ("False", "Restarting", "all workers run; the group is forming"),
    )
    runs = status_after(with_status(lost, waits), pod(0), pod(1, 2), at=701, **heard("running", 2))
    assert (runs.phase, why(runs)) == ("Running", ("True", "AttemptRunning", "attempt 2 runs on 2 workers"))


def test_an_attempt_that_ends_is_told_apart_from_a_group_that_forms() -> None:
    status = status_after(running(), *BOTH, at=60, **heard("ending"))
    assert why(status)[1:] == (
        "Restarting",
        "all workers run; what is left of the last attempt is being ended",
    )


def test_a_user_error_restarts_the_ranks_in_the_living_pods() -> None:
    decided = plan(running(), *BOTH, at=60, **heard("gathering", 1, user_restarts=1, failure=FAILURE))
    assert decided.status is not None
    assert (decided.status.phase, decided.status.failure) == ("Restarting", FAILURE)
    assert decided.status.restarts == Restarts(user=1, infrastructure=0, total=1)
    assert (created(decided), removed(decided)) == ([], [])
    assert [event.note for event in decided.events] == ["rank 1 exited with 3; all workers run; the group is forming"]


@pytest.mark.parametrize("code", [0, 64])
def test_a_member_that_ended_as_told_is_not_replaced_while_its_coordinator_may_be_ending_too(code: int) -> None:
    decided = plan(running(), pod(0), ended(1, code, at=600), at=601, written_at=later(600), **heard("running"))
    assert (decided.status, created(decided), decided.requeue_at) == (None, [], later(610))
    assert created(plan(running(), pod(0), ended(1, code, at=600), at=610)) == [(1, 2)]
    assert created(plan(running(), deleting(0), ended(1, code, at=600), at=601)) == [(0, 2), (1, 2)]


def test_a_pod_that_this_process_recorded_but_could_not_create_keeps_its_number() -> None:
    decided = plan(pending(), at=1, issued=frozenset({(0, 1), (1, 1)}))
    assert (decided.status, created(decided)) == (None, [(0, 1), (1, 1)])


def test_a_number_recorded_by_an_earlier_process_is_never_used_again() -> None:
    decided = plan(pending(), at=1)
    assert decided.status is not None
    assert (decided.status.incarnations, created(decided)) == ((2, 2), [(0, 2), (1, 2)])
    assert decided.status.restarts == Restarts()
    assert decided.status.phase == "Pending"


def test_a_job_keeps_its_version_of_the_master_key() -> None:
    rotated = replace(SITE, key_version="2")
    decided = make_plan(observed(running(), pod(0)), NOW, rotated)
    assert decided.status is not None
    assert decided.observe is not None
    label = decided.pods[0].manifest["metadata"]["labels"]["dltrain.io/key-version"]
    assert (decided.status.key_version, decided.observe.key_version, label) == ("1", "1", "1")


def test_a_sidecar_does_not_keep_a_worker_whose_agent_has_ended() -> None:
    held = pod(1, exit_code=1, ended_at=later(600))
    replaces = plan(running(), pod(0), held, at=605)
    assert (created(replaces), removed(replaces), replaces.requeue_at) == ([(1, 2)], [], later(610))
    assert removed(plan(running(), pod(0), held, pod(1, 2), at=610)) == ["cifar-1-1"]


def test_a_member_that_ended_well_keeps_its_log_while_the_kubelet_has_not_told_of_the_pods_end() -> None:
    decided = plan(running(), pod(0), pod(1, exit_code=0, ended_at=later(600)), at=601)
    assert (created(decided), removed(decided), decided.requeue_at) == ([], [], later(610))


def test_an_older_pod_beside_the_present_one_is_deleted() -> None:
    record = running()
    assert removed(plan(record, pod(0), pod(1), pod(1, 2))) == ["cifar-1-1"]


# ---------------------------------------------------------------- suspension
def test_suspension_deletes_the_pods_and_keeps_the_numbers() -> None:
    record = with_spec(running(), runPolicy={"suspend": True})
    decided = plan(record, *BOTH, at=60, **heard("running"))
    assert decided.status is not None
    status = decided.status
    assert (status.phase, status.start_time, status.incarnations) == ("Suspended", None, (1, 1))
    assert (status.is_true("Suspended"), status.is_true("Running")) == (True, False)
    assert (removed(decided), decided.observe, reasons(decided)) == (["cifar-0-1", "cifar-1-1"], None, ["Suspended"])
    assert plan(with_status(record, status), deleting(0), deleting(1), at=61).quiet


def test_a_job_made_suspended_waits_without_pods() -> None:
    record = job(policy={"suspend": True})
    decided = plan(record)
    assert decided.status is not None
    assert (decided.status.phase, decided.status.is_true("Accepted")) == ("Suspended", True)
    assert (created(decided), decided.children) == ([], ())
    resumed = plan(with_spec(with_status(record, decided.status), runPolicy={}), at=60)
    assert created(resumed) == [(0, 1), (1, 1)]


def test_a_resumed_job_gets_new_pods_once_the_old_ones_are_gone() -> None:
    record = with_spec(running(), runPolicy={"suspend": True})
    record = with_status(record, status_after(record, *BOTH, at=60))
    record = with_spec(record, runPolicy={"suspend": False})
    waits = plan(record, deleting(0, until=90), at=61)
    assert (waits.quiet, waits.requeue_at) == (True, later(90))
    decided = plan(record, at=62)
    assert decided.status is not None
    assert (created(decided), decided.status.restarts) == ([(0, 2), (1, 2)], Restarts())
    assert (decided.status.start_time, decided.status.phase) == (later(62), "Pending")
    assert (reasons(decided), why(decided.status, "Suspended")[0]) == (["Resumed"], "False")


def test_the_deadline_does_not_run_while_a_job_is_suspended() -> None:
    record = with_spec(running(), runPolicy={"suspend": True, "activeDeadlineSeconds": 10})
    assert status_after(record, *BOTH, at=3600).phase == "Suspended"


# ---------------------------------------------------------------- what people read
@pytest.mark.parametrize(
    ("pods", "trouble", "message"),
    [
        pytest.param((), "", "0 of 2 workers run", id="nothing known"),
        pytest.param(
            (pod(0), pod(1, phase="Pending", trouble="Unschedulable: 0/3 nodes are available")),
            "",
            "1 of 2 workers run; cifar-1-1: Unschedulable: 0/3 nodes are available",
            id="no room",
        ),
        pytest.param((), "quota exceeded", "0 of 2 workers run; quota exceeded", id="the cluster refuses"),
        pytest.param(
            (pod(0), ended(1, 1, at=0), ended(1, 1, 2, at=0), ended(1, 1, 3, at=0)),
            "",
            "1 of 2 workers run; cifar-1-3 ended with exit code 1 and is replaced soon",
            id="backing off",
        ),
    ],
)
def test_a_job_that_does_not_run_says_what_it_waits_for(
    pods: tuple[PodRecord, ...], trouble: str, message: str
) -> None:
    issued = frozenset({(0, 1), (1, 1)})
    status = plan(pending(), *pods, at=1, trouble=trouble, issued=issued).status
    assert (why(status)[2] if status is not None else "0 of 2 workers run") == message


def test_a_job_whose_objects_cannot_be_created_says_so_at_once() -> None:
    issued = frozenset({(0, 1), (1, 1)})
    decided = plan(pending(), at=1, trouble="quota exceeded", issued=issued, written_at=NOW)
    assert decided.status is not None
    assert (decided.status.phase, why(decided.status)[1:]) == (
        "Pending",
        ("CreationFailed", "0 of 2 workers run; quota exceeded"),
    )
    assert reasons(decided) == ["CreationFailed"]


def test_progress_is_written_at_once_the_first_time_and_then_every_ten_seconds() -> None:
    record = running()
    first = plan(record, *BOTH, at=1, written_at=NOW, **heard("running", progress=progress(1)))
    assert first.status is not None
    assert first.status.progress == progress(1)
    record = with_status(record, first.status)
    waits = plan(record, *BOTH, at=5, written_at=later(1), **heard("running", progress=progress(5)))
    assert (waits.quiet, waits.requeue_at) == (True, later(11))
    assert status_after(
        record, *BOTH, at=11, written_at=later(1), **heard("running", progress=progress(9))
    ).progress == (progress(9))


def test_a_job_waits_for_what_an_earlier_job_of_its_name_has_left() -> None:
    record = job()
    seen = Observed(job=record, predecessor=True)
    decided = make_plan(seen, NOW, SITE)
    assert decided.status is not None
    assert (decided.status.phase, why(decided.status)[1]) == ("Pending", "WaitingForPredecessor")
    assert (decided.pods, decided.children) == ((), ())
    waits = replace(seen, job=with_status(record, decided.status))
    assert make_plan(waits, later(60), SITE).quiet
    gone = deleting(0, uid="old", owner="earlier", unreachable=True)
    assert make_plan(replace(waits, left=(gone, deleting(1, owner="earlier"))), later(60), SITE).force == (gone,)


# ---------------------------------------------------------------- children
def test_a_child_is_applied_when_it_is_missing_or_has_another_content() -> None:
    record = running()
    whole = children(record)
    known = {kind: whole[kind] for kind in ("ConfigMap", "Service")}
    known["Service"] = replace(known["Service"], desired_hash="0")
    decided = make_plan(replace(observed(record, *BOTH), children=known), NOW, SITE)
    assert [child["kind"] for child in decided.children] == ["Service", "NetworkPolicy"]


def test_a_change_of_policy_reaches_the_job_file() -> None:
    record = running()
    changed = with_spec(record, runPolicy={"backoffLimit": 9})
    decided = make_plan(replace(observed(changed, *BOTH), children=children(record)), NOW, SITE)
    assert [child["kind"] for child in decided.children] == ["ConfigMap"]
    assert '"backoffLimit": 9' in decided.children[0]["data"]["job.json"]


def test_the_spec_in_a_record_is_the_one_of_the_object() -> None:
    assert job().load()["spec"] == job_object()["spec"]
