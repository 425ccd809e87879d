"""A job's status: its conditions, after the Kubernetes API conventions, and what is derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain.api.status import (
    Condition,
    ConditionType,
    JobStatus,
    Phase,
    WorkerCounts,
)
from dltrain.names import JOB_LABEL
from dltrain_operator.records import PodRecord

INPUT_BOUND: Final = 0.1
"""A job that waits for data for a larger share of its time than this is bound by its input ..."""
INPUT_BOUND_NO_MORE: Final = 0.05
"""... until the share is not larger than this."""
INPUT_BOUND_MESSAGE: Final = (
    "training waits for batches in more than 10 % of its time (status.progress.timeSplit); "
    "give each rank more CPUs, use fewer or cheaper transforms and augmentations, or faster storage"
)
MAX_MESSAGE: Final = 2048
"""Longer messages are cut: a status is read by people."""


class Reason(StrEnum):
    """Why a condition is as it is."""

    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    NO_PROFILE = "WaitingForProfile"
    PREDECESSOR = "WaitingForPredecessor"
    PENDING = "WaitingForWorkers"
    BLOCKED = "CreationFailed"
    STARTING = "WaitingForGroup"
    RESTARTING = "Restarting"
    RUNNING = "AttemptRunning"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    COMPLETED = "Completed"
    FAILED = "Failed"
    DEADLINE = "DeadlineExceeded"
    WAITS_FOR_DATA = "TrainingWaitsForData"
    DATA_KEEPS_UP = "DataKeepsUp"


ORDER: Final[tuple[ConditionType, ...]] = ("Accepted", "Running", "InputBound", "Suspended", "Complete", "Failed")
Values = Sequence[tuple[ConditionType, bool]]
"""Conditions to set: (type, whether it holds)."""
PHASES: Final[dict[str, Phase]] = {
    Reason.NO_PROFILE: "Pending",
    Reason.PREDECESSOR: "Pending",
    Reason.PENDING: "Pending",
    Reason.BLOCKED: "Pending",
    Reason.STARTING: "Starting",
    Reason.RESTARTING: "Restarting",
}
"""The reason why a job does not run -> its phase."""


def stamp(now: datetime) -> datetime:
    """A time as a status holds it, in whole seconds."""
    return now.replace(microsecond=0)


def with_conditions(status: JobStatus, values: Values, reason: str, message: str, now: datetime) -> JobStatus:
    """A status with conditions set, all for one reason; transition times change only where the value does.

    Args:
        status: the status, whose observed_generation goes into the conditions.
        values: the conditions to set.
        reason: why, for machines.
        message: why, for people.
        now: the present time.
    """
    conditions = {condition.type: condition for condition in status.conditions}
    for kind, holds in values:
        value: Literal["True", "False"] = "True" if holds else "False"
        old = conditions.get(kind)
        conditions[kind] = Condition(
            type=kind,
            status=value,
            reason=reason,
            message=shortened(message),
            last_transition_time=old.last_transition_time if old is not None and old.status == value else stamp(now),
            observed_generation=status.observed_generation,
        )
    ordered = tuple(conditions[kind] for kind in ORDER if kind in conditions)
    return status.model_copy(update={"conditions": ordered})


def accepted(job: DLTrainJob, now: datetime) -> JobStatus:
    """A job's status, brought up to its present spec."""
    status = job.status.model_copy(update={"observed_generation": job.metadata.generation})
    return with_conditions(status, [("Accepted", True)], Reason.VALID, "the job follows the contract", now)


def derive_phase(status: JobStatus) -> Phase:
    """The phase, for printing."""
    if status.is_true("Complete"):
        return "Succeeded"
    if status.is_true("Failed"):
        return "Failed"
    if status.is_true("Suspended"):
        return "Suspended"
    if status.is_true("Running"):
        return "Running"
    running = status.condition("Running")
    return PHASES.get(running.reason, "Pending") if running is not None else "Pending"


def with_phase(status: JobStatus) -> JobStatus:
    """A status whose phase follows from its conditions."""
    return status.model_copy(update={"phase": derive_phase(status)})


def worker_counts(job: DLTrainJob, pods: Sequence[PodRecord | None] = ()) -> WorkerCounts:
    """How many workers there are and how many are ready."""
    desired, selector = job.spec.workers.replicas, f"{JOB_LABEL}={job.name}"
    ready = sum(pod is not None and pod.live and pod.ready for pod in pods)
    return WorkerCounts(desired=desired, ready=ready, summary=f"{ready}/{desired}", selector=selector)


def with_lost_workers(status: JobStatus, lost: int) -> JobStatus:
    """A status that counts more lost workers."""
    return with_restarts(status, status.restarts.user, status.restarts.infrastructure + lost)


def with_restarts(status: JobStatus, user: int, infrastructure: int) -> JobStatus:
    """A status with these counts of restarts."""
    counts = {"user": user, "infrastructure": infrastructure, "total": user + infrastructure}
    restarts = status.restarts.model_copy(update=counts)
    return status.model_copy(update={"restarts": restarts})


def absorbed(status: JobStatus, group: GroupStatus | None, now: datetime) -> JobStatus:
    """A status with what a coordinator has said; counts never fall, and what it does not mention stays."""
    if group is None:
        return status
    said = {
        name: value
        for name in ("progress", "checkpoint", "results", "failure", "last_restart")
        if (value := getattr(group, name)) is not None
    }
    counted = with_restarts(status, max(status.restarts.user, group.user_restarts), status.restarts.infrastructure)
    told = counted.model_copy(update={"attempt": max(status.attempt, group.attempt), **said})
    return with_input_bound(told, now)


def with_input_bound(status: JobStatus, now: datetime) -> JobStatus:
    """A status that says whether training waits for its data; nothing before it first does.

    The two bounds are apart, so that a job near one of them does not change its status all the time.
    """
    split = status.progress.time_split if status.progress else None
    known = status.condition("InputBound")
    if split is None or (known is None and split.data <= INPUT_BOUND):
        return status
    bound = split.data > (INPUT_BOUND_NO_MORE if status.is_true("InputBound") else INPUT_BOUND)
    if bound:
        return with_conditions(status, [("InputBound", True)], Reason.WAITS_FOR_DATA, INPUT_BOUND_MESSAGE, now)
    message = "batches are ready when training needs them"
    return with_conditions(status, [("InputBound", False)], Reason.DATA_KEEPS_UP, message, now)


def shortened(message: str) -> str:
    """A message of bearable length."""
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 3]}..."
