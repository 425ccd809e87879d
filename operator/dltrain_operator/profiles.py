"""How a job gets its profile: once, when it is first seen; from then on its status holds it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dltrain.api.job import DLTrainJob
from dltrain.api.profile import DLTrainProfile
from dltrain.api.status import JobStatus
from dltrain.errors import Problem, SpecError
from dltrain.resolution import MissingProfileError, choose, resolved, settled
from dltrain_operator.actions import Plan, with_status
from dltrain_operator.observed import Observed
from dltrain_operator.profile_record import ProfileRecord
from dltrain_operator.status import Reason, Values, with_conditions, with_phase, worker_counts


def profiled(job: DLTrainJob, records: Sequence[ProfileRecord]) -> DLTrainJob:
    """A job with its profile in its status, and laid under its spec.

    A job that was accepted before keeps what it got then, nothing included.

    Raises:
        MissingProfileError: it is to wait for a profile.
        SpecError: it breaks a rule of the profile.
    """
    return resolved(settled(job, chosen(job, records)) if is_new(job.status) else job)


def is_new(status: JobStatus) -> bool:
    """Whether a job has not been accepted yet."""
    accepted = status.condition("Accepted")
    return accepted is None or (accepted.status == "False" and accepted.reason == Reason.NO_PROFILE)


def chosen(job: DLTrainJob, records: Sequence[ProfileRecord]) -> DLTrainProfile | None:
    """The profile that a job gets.

    Raises:
        MissingProfileError: it is not there, or cannot be understood.
        SpecError: the job may not use it.
    """
    wanted = job.spec.profile
    for record in records:
        if record.profile is None and (record.default if wanted is None else record.name == wanted):
            rule, remedy = "must name a valid DLTrainProfile", f"correct the DLTrainProfile: {record.trouble}"
            raise MissingProfileError([Problem("spec.profile", rule, f'"{record.name}"', remedy)])
    return choose(job, [record.profile for record in records if record.profile is not None])


def unprofiled_plan(job: DLTrainJob, observed: Observed, error: SpecError, now: datetime) -> Plan:
    """Wait until there is the profile that a job names; it holds no pods and its time does not run."""
    status = job.status.model_copy(update={"observed_generation": job.metadata.generation})
    values: Values = [("Accepted", False), ("Running", False)]
    status = with_conditions(status, values, Reason.NO_PROFILE, str(error), now)
    status = status.model_copy(update={"workers": worker_counts(job)})
    return with_status(Plan(job=job), job.status, with_phase(status), observed.notes.written_at, now)
