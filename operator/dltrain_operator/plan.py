"""What to do about one job: a pure function of what is known of it and of the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.api.policy import MANAGER
from dltrain.errors import SpecError
from dltrain.resolution import MissingProfileError
from dltrain_operator.actions import Plan
from dltrain_operator.ending import ending_plan, find_outcome, finished_plan, rejected_plan
from dltrain_operator.observed import Observed
from dltrain_operator.profiles import profiled, unprofiled_plan
from dltrain_operator.running import active_plan, suspended_plan
from dltrain_operator.site import Site
from dltrain_operator.stored import manager_of


def make_plan(observed: Observed, now: datetime, site: Site) -> Plan:
    """Decide what to do about a job.

    Args:
        observed: the job, what it owns and what its coordinator says.
        now: the present time, with its zone.
        site: what the installation adds to every job.
    """
    if observed.job.deleting:
        return Plan()  # Kubernetes deletes what the job owns
    document = observed.job.load()
    if manager_of(document) != MANAGER:
        return Plan()  # whatever it holds, it is another controller's to judge
    try:
        job = parse_job(document)
    except SpecError as error:
        return with_force(rejected_plan(observed, error, now), observed)
    return with_force(plan_for_state(job, observed, now, site), observed)


def with_force(plan: Plan, observed: Observed) -> Plan:
    """A plan that waits for no kubelet that is gone: neither for pods to delete, nor for those being deleted.

    Those of an earlier job are among the latter: its name is free only once they are gone.
    """
    lost = [pod for pod in plan.remove if pod.unreachable]
    stuck = [pod for pod in (*observed.pods, *observed.left) if pod.stuck]
    return replace(plan, remove=tuple(pod for pod in plan.remove if pod not in lost), force=(*lost, *stuck))


def plan_for_state(job: DLTrainJob, observed: Observed, now: datetime, site: Site) -> Plan:
    """Decide by what the job is about: it has ended, ends, is suspended or active."""
    if job.status.finished:
        return finished_plan(job, observed, now)
    try:
        job = profiled(job, observed.profiles)
    except MissingProfileError as error:
        return unprofiled_plan(job, observed, error, now)
    except SpecError as error:
        return rejected_plan(observed, error, now)
    return working_plan(job, observed, now, site)


def working_plan(job: DLTrainJob, observed: Observed, now: datetime, site: Site) -> Plan:
    """Decide what to do about a job that has its profile and has not ended."""
    outcome = find_outcome(job, observed, now)
    if outcome is not None:
        return ending_plan(job, outcome, observed, now)
    if job.spec.run_policy.suspend:
        return suspended_plan(job, observed, now)
    return active_plan(job, observed, now, site)
