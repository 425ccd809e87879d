"""What a plan may contain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from dltrain.api.job import DLTrainJob
from dltrain.api.status import JobStatus
from dltrain_operator.children.metadata import Manifest
from dltrain_operator.events import JobEvent, transition_events
from dltrain_operator.pace import earliest, write_at
from dltrain_operator.records import PodRecord


@dataclass(frozen=True, slots=True)
class Target:
    """A coordinator to observe."""

    pod: str
    """The uid of its pod."""
    address: str
    job: str
    """The uid of its job."""
    key_version: str
    """The version of the master key that the job's identity was made with."""
    replicas: int | None = None
    """How many workers an elastic group is told to have."""


@dataclass(frozen=True, slots=True)
class NewPod:
    """A pod to create."""

    index: int
    incarnation: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in the order of the fields; by default nothing."""

    job: DLTrainJob | None = None
    """The job that the plan is for; None where it is none to be carried out."""
    status: JobStatus | None = None
    """The status to write."""
    events: tuple[JobEvent, ...] = ()
    """What the new status means to people."""
    children: tuple[Manifest, ...] = ()
    """Objects to create, or to apply where they exist."""
    group: Manifest | None = None
    """The PodGroup that new pods are members of."""
    pods: tuple[NewPod, ...] = ()
    """Pods to create, once the children and the identity exist."""
    held: tuple[NewPod, ...] = ()
    """Pods whose numbers the status has from now on, and which a later look will create."""
    remove: tuple[PodRecord, ...] = ()
    """Pods to delete."""
    force: tuple[PodRecord, ...] = ()
    """Pods to delete without waiting for their kubelets."""
    delete_job: bool = False
    """Whether the job has outlived its time."""
    observe: Target | None = None
    """The coordinator to listen to from now on."""
    requeue_at: datetime | None = None
    """When to look again, if nothing happens before."""

    @property
    def quiet(self) -> bool:
        """Whether carrying it out sends no request at all."""
        return self.status is None and not (self.children or self.pods or self.remove or self.force or self.delete_job)


def with_status(
    plan: Plan, old: JobStatus, new: JobStatus, written_at: datetime | None, now: datetime, *more: JobEvent
) -> Plan:
    """A plan that also writes a status, if it differs, at once or when it is due.

    Args:
        plan: the rest of the plan.
        old: the status in the cluster.
        new: what it should be.
        written_at: when this process last wrote it, if ever.
        now: the present time.
        more: events to post with it, besides those of the conditions.
    """
    due = write_at(old, new, written_at, now)
    if due is None:
        return plan
    if due > now:
        return replace(plan, requeue_at=earliest([plan.requeue_at, due]))
    return replace(plan, status=new, events=(*transition_events(old, new), *more))
