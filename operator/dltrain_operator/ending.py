"""How a job ends, and what is cleared away after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import ValidationError

from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain.api.policy import RunPolicy
from dltrain.api.status import Failure, JobStatus
from dltrain.durations import short_duration
from dltrain.errors import SpecError
from dltrain.names import EXIT_DO_NOT_RETRY
from dltrain_operator.actions import Plan
from dltrain_operator.events import transition_events
from dltrain_operator.losses import hourly_limit, lost_within_hour
from dltrain_operator.observed import Observed
from dltrain_operator.pace import earliest
from dltrain_operator.records import ENDED_PHASES, PodRecord
from dltrain_operator.status import (
    Reason,
    Values,
    absorbed,
    accepted,
    stamp,
    with_conditions,
    with_phase,
    worker_counts,
)
from dltrain_operator.stored import clearing_policy, stored_status
from dltrain_operator.workers import FINISH_GRACE

DECIDED_HERE: Final = frozenset({"DeadlineExceeded", "InvalidSpec", "WorkerLost"})
"""Failures that the operator decides on while the pods still work: they get no time to end by themselves."""

NOT_STARTED: Final = frozenset({Reason.PENDING, Reason.BLOCKED, Reason.STARTING})
"""Why a job does not run that has not run since it first asked for pods, or was resumed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job has ended."""

    condition: Literal["Complete", "Failed"]
    reason: str
    message: str
    failure: Failure | None = None
    group: GroupStatus | None = None
    """The last that its coordinator said."""


def find_outcome(job: DLTrainJob, observed: Observed, now: datetime) -> Outcome | None:
    """How a job has ended; None while it has not.

    The exit code of worker 0 decides; what its coordinator said before, only if that pod is lost, or is to go because
    the job is suspended: all that the job has made is stored by then, and nobody may ever learn the exit code.
    """
    for pod in observed.pods:
        if pod.index == 0 and pod.exit_code in {0, EXIT_DO_NOT_RETRY}:
            group = last_word(pod, observed.notes.group)
            return completion(group) if pod.exit_code == 0 else failure_of(pod, group)
    if has_succeeded(observed, suspended=job.spec.run_policy.suspend):
        return completion(observed.notes.group)
    if observed.notes.refusal:
        return own_failure("InvalidSpec", observed.notes.refusal)
    return None if job.spec.run_policy.suspend else overdue(job, now)


def has_succeeded(observed: Observed, *, suspended: bool) -> bool:
    """Whether a coordinator has said that the job has succeeded, and its pod is lost, or may not stay."""
    notes = observed.notes
    said = notes.group is not None and notes.group.state == "succeeded"
    stays = not suspended and any(pod.uid == notes.coordinator and pod.live for pod in observed.pods)
    return said and not stays


def overdue(job: DLTrainJob, now: datetime) -> Outcome | None:
    """The end of a job that has lost too many pods, or takes too long to end or to start; None where all is well."""
    policy = job.spec.run_policy
    if lost_within_hour(job.status.restarts, now) > hourly_limit(job):
        return own_failure("WorkerLost", too_many_losses(job))
    deadline, startup = deadline_of(job, job.status), startup_deadline_of(job, job.status)
    if deadline is not None and deadline <= now:
        limit = short_duration(policy.active_deadline_seconds or 0)
        return own_failure("DeadlineExceeded", f"the job did not end within runPolicy.activeDeadlineSeconds, {limit}")
    if startup is not None and startup <= now:
        limit = short_duration(policy.startup_deadline_seconds or 0)
        running = job.status.condition("Running")
        why = f": {running.message}" if running is not None and running.message else ""
        message = f"the job did not start within runPolicy.startupDeadlineSeconds, {limit}{why}"
        return own_failure("DeadlineExceeded", message)
    return None


def last_word(pod: PodRecord, heard: GroupStatus | None) -> GroupStatus | None:
    """The last that a coordinator said: its termination message, or the same outcome in full, as it was heard.

    Args:
        pod: worker 0's.
        heard: the newest status that the coordinator has sent.
    """
    left = read_account(pod.account)
    if left is None or heard is None:
        return left or heard
    return heard if (heard.state, heard.attempt) == (left.state, left.attempt) else left


def read_account(text: str) -> GroupStatus | None:
    """The status that a coordinator left as its termination message; None where it left none."""
    try:
        return GroupStatus.model_validate_json(text)
    except ValidationError:
        return None


def completion(group: GroupStatus | None) -> Outcome:
    """The job has done its work."""
    attempts = f" in attempt {group.attempt}" if group is not None and group.attempt > 1 else ""
    return Outcome("Complete", Reason.COMPLETED, f"every rank exited with 0{attempts}", group=group)


def failure_of(pod: PodRecord, group: GroupStatus | None) -> Outcome:
    """The job's coordinator has given up."""
    told = group.failure if group is not None else None
    failure = told or Failure(
        reason="LaunchFailed",
        message=f"the agent of {pod.name} ended with exit code {EXIT_DO_NOT_RETRY} and left no account; see its log",
        pod=pod.name,
        node=pod.node or None,
        exit_code=EXIT_DO_NOT_RETRY,
    )
    return Outcome("Failed", failure.reason, failure.message or failure.reason, failure, group)


def too_many_losses(job: DLTrainJob) -> str:
    """What is said of a job that loses one pod after another."""
    nodes = ", ".join(f"{entry.node} ({entry.count}: {entry.reason})" for entry in (job.status.node_failures or ())[:3])
    return (
        f"{job.status.restarts.hour} worker pods were lost within an hour, more than runPolicy.lostPodsPerHour, "
        f"{hourly_limit(job)}" + (f"; the latest on {nodes}" if nodes else "")
    )


def own_failure(reason: Literal["InvalidSpec", "DeadlineExceeded", "WorkerLost"], message: str) -> Outcome:
    """The operator has given up."""
    return Outcome("Failed", reason, message, Failure(reason=reason, message=message))


def deadline_of(job: DLTrainJob, status: JobStatus) -> datetime | None:
    """When a job has run for too long."""
    seconds = job.spec.run_policy.active_deadline_seconds
    return None if seconds is None or status.start_time is None else status.start_time + timedelta(seconds=seconds)


def startup_deadline_of(job: DLTrainJob, status: JobStatus) -> datetime | None:
    """When a job has waited for too long; None once it has run, for restarts have other limits."""
    seconds, running = job.spec.run_policy.startup_deadline_seconds, status.condition("Running")
    if seconds is None or status.start_time is None or running is None or running.reason not in NOT_STARTED:
        return None
    return status.start_time + timedelta(seconds=seconds)


def ending_plan(job: DLTrainJob, outcome: Outcome, observed: Observed, now: datetime) -> Plan:
    """Record how a job has ended."""
    status = absorbed(accepted(job, now), outcome.group, now)
    values: Values = [("Running", False), (outcome.condition, True)]
    if status.condition("Suspended") is not None:
        values = [*values, ("Suspended", False)]
    status = with_conditions(status, values, outcome.reason, outcome.message, now)
    changes = {
        "failure": outcome.failure,
        "completion_time": stamp(now),
        "workers": worker_counts(job),
    }
    status = with_phase(status.model_copy(update=changes))
    plan = clearing_plan(job.spec.run_policy, status, observed.pods, now)
    return replace(plan, job=job, status=status, events=transition_events(job.status, status))


def finished_plan(job: DLTrainJob, observed: Observed, now: datetime) -> Plan:
    """A job that has ended stays ended; what remains of it is cleared away in time."""
    if has_expired(job.spec.run_policy, job.status, now):
        return Plan(job=job, delete_job=True)
    seen = job.status.model_copy(update={"observed_generation": job.metadata.generation})
    plan = clearing_plan(job.spec.run_policy, job.status, observed.pods, now)
    return replace(plan, job=job, status=seen if seen != job.status else None)


def rejected_plan(observed: Observed, error: SpecError, now: datetime) -> Plan:
    """A job that the API server took but that breaks the contract: it fails at once and holds no pods.

    It may have run under another version of the operator. So it is cleared away as any other that has ended, at every
    look: whoever wrote its end may have got no further.
    """
    document = observed.job.load()
    policy, old = clearing_policy(document), stored_status(document)
    if old.finished:
        expired = has_expired(policy, old, now)
        return Plan(delete_job=True) if expired else clearing_plan(policy, old, observed.pods, now)
    status = old.model_copy(update={"observed_generation": document["metadata"].get("generation", 0)})
    values: Values = [("Accepted", False), ("Running", False), ("Failed", True)]
    status = with_conditions(status, values, Reason.INVALID_SPEC, str(error), now)
    failure = Failure(reason="InvalidSpec", message=str(error))
    status = with_phase(status.model_copy(update={"failure": failure, "completion_time": stamp(now)}))
    plan = clearing_plan(policy, status, observed.pods, now)
    return replace(plan, status=status, events=transition_events(old, status))


def expiry(policy: RunPolicy, status: JobStatus) -> datetime | None:
    """When a finished job is to be deleted."""
    seconds = policy.ttl_seconds_after_finished
    if seconds is None or status.completion_time is None:
        return None
    return status.completion_time + timedelta(seconds=seconds)


def has_expired(policy: RunPolicy, status: JobStatus, now: datetime) -> bool:
    """Whether a finished job is to be deleted now."""
    expires_at = expiry(policy, status)
    return expires_at is not None and expires_at <= now


def clearing_plan(policy: RunPolicy, status: JobStatus, pods: Sequence[PodRecord], now: datetime) -> Plan:
    """Clear away what remains of a job that has ended, each thing in its time."""
    remove, again_at = clean_up(policy, status, pods, now)
    return Plan(remove=remove, requeue_at=earliest([again_at, expiry(policy, status)]))


def clean_up(
    policy: RunPolicy, status: JobStatus, pods: Sequence[PodRecord], now: datetime
) -> tuple[tuple[PodRecord, ...], datetime | None]:
    """Which pods of a finished job to delete now, and when to look again.

    Pods that still run are given a moment to end by themselves, for the logs of a deleted pod are gone.
    """
    everything = policy.clean_pod_policy == "All"
    due = [pod for pod in pods if pod.deletes_at is None and (everything or pod.phase not in ENDED_PHASES)]
    decided_here = status.failure is not None and status.failure.reason in DECIDED_HERE
    patience = timedelta() if decided_here else FINISH_GRACE
    until = (status.completion_time or now) + patience
    if until <= now:
        return tuple(due), None
    ended = tuple(pod for pod in due if pod.phase in ENDED_PHASES)
    return ended, until if len(ended) < len(due) else None
