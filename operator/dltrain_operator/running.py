"""What a job needs while it has not ended: pods for its workers, or none while it is suspended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain.api.status import JobStatus
from dltrain.names import HASH_ANNOTATION, pod_name
from dltrain_operator.actions import NewPod, Plan, Target, with_status
from dltrain_operator.children.gang import in_gang, pod_group
from dltrain_operator.children.lasting import lasting_children
from dltrain_operator.children.metadata import Manifest
from dltrain_operator.children.pod import Place, worker_pod
from dltrain_operator.ending import deadline_of, read_account, startup_deadline_of
from dltrain_operator.events import JobEvent
from dltrain_operator.losses import PREEMPTED, avoided_nodes, loss_of, silent_pods, with_losses
from dltrain_operator.observed import Notes, Observed
from dltrain_operator.pace import earliest
from dltrain_operator.records import PodRecord
from dltrain_operator.site import Site
from dltrain_operator.status import (
    Reason,
    Values,
    absorbed,
    accepted,
    stamp,
    with_conditions,
    with_lost_workers,
    with_phase,
    worker_counts,
)
from dltrain_operator.workers import Seat, group_by_worker, seat_workers

NEXT: Final = {"ending": "what is left of the last attempt is being ended"}
"""What the coordinator is about, by the state it tells; else it waits for its members."""


class Crew(NamedTuple):
    """The workers of a job."""

    seats: tuple[Seat, ...]
    lost: tuple[Seat, ...]
    """Those whose pods have just been lost."""

    @property
    def settled(self) -> bool:
        """Whether every agent runs, or has ended as it does at the end of a job."""
        return all(is_settled(seat) for seat in self.seats)


def is_settled(seat: Seat) -> bool:
    """Whether a worker's agent runs, or has ended as it does at the end of a job."""
    return seat.finishing or (seat.pod is not None and seat.pod.running)


class State(NamedTuple):
    """Whether an attempt runs, and why or why not."""

    runs: bool
    reason: Reason
    message: str


def suspended_plan(job: DLTrainJob, observed: Observed, now: datetime) -> Plan:
    """Hold no pods; keep the numbers, so that a resumed job goes on counting."""
    status = absorbed(accepted(job, now), observed.notes.group, now)
    values: Values = [("Running", False), ("Suspended", True)]
    status = with_conditions(status, values, Reason.SUSPENDED, "runPolicy.suspend is true", now)
    changes = {"start_time": None, "workers": worker_counts(job)}
    status = with_phase(status.model_copy(update=changes))
    plan = Plan(job=job, remove=tuple(pod for pod in observed.pods if pod.removable))
    return with_status(plan, job.status, status, observed.notes.written_at, now)


def active_plan(job: DLTrainJob, observed: Observed, now: datetime, site: Site) -> Plan:
    """Let every worker have a pod, and say how far that is."""
    resumes = job.status.is_true("Suspended")
    ending = [pod for pod in observed.pods if pod.deletes_at and not pod.ended]
    gone_at = max((pod.deletes_at for pod in ending if pod.deletes_at), default=now)
    if resumes and gone_at > now:
        return Plan(job=job, requeue_at=gone_at)  # two attempts must never be alive at once
    if observed.predecessor:
        return waiting_plan(job, observed, now)
    workers = group_by_worker(job.spec.workers.replicas, job.status.incarnations, observed.pods)
    silent, silent_at = silent_pods(job, observed, now)
    seats = seat_workers(workers, observed.notes.issued, now, silent)
    crew = Crew(seats, () if resumes else tuple(seat for seat in seats if counts_as_lost(job, seat, observed.notes)))
    status = active_status(job, observed, crew, site, now)
    surplus = tuple(pod for pod in observed.pods if pod.index >= len(seats) and pod.removable)
    avoid = avoided_nodes(status, now)
    pods = tuple(new_pod(job, seat, status, site, avoid) for seat in seats if seat.create)
    group = pod_group(job, site.gangs)
    held = must_wait(job, ending, gang=group is not None)
    plan = Plan(
        job=job,
        children=missing_children(job, observed, site),
        group=group,
        pods=() if held else pods,
        held=pods if held else (),
        remove=(*surplus, *(pod for seat in seats for pod in seat.remove)),
        observe=target(job, seats[0], status),
        requeue_at=earliest(
            [deadline_of(job, status), startup_deadline_of(job, status), silent_at, *(seat.retry_at for seat in seats)]
        ),
    )
    events = [replacement_event(job, seat) for seat in crew.lost]
    return with_status(plan, job.status, status, observed.notes.written_at, now, *events)


def must_wait(job: DLTrainJob, ending: Sequence[PodRecord], *, gang: bool) -> bool:
    """Whether new pods have to wait until the last of those that are being deleted has ended.

    A queue that takes pods back takes those in their places, too. A gang's pods count as placed while they end: of a
    gang that is preempted, the first new pod would be placed alone, and hold a node while the others find none.
    """
    taken = bool(ending) and job.spec.scheduling.queue_name is not None
    return taken or (gang and any(pod.disruption == PREEMPTED for pod in ending))


def waiting_plan(job: DLTrainJob, observed: Observed, now: datetime) -> Plan:
    """Wait until Kubernetes has deleted what an earlier job of the same name has left."""
    status = accepted(job, now)
    message = "waiting until the objects of an earlier job of this name are gone"
    status = with_conditions(status, [("Running", False)], Reason.PREDECESSOR, message, now)
    workers = worker_counts(job)
    status = with_phase(status.model_copy(update={"workers": workers}))
    return with_status(Plan(job=job), job.status, status, observed.notes.written_at, now)


def counts_as_lost(job: DLTrainJob, seat: Seat, notes: Notes) -> bool:
    """Whether a replacement is one of a pod that is known to have existed.

    One that is there no more was seen go, or is known by the job's running, which takes all workers of one that is not
    elastic.
    """
    existed = seat.index < job.status.workers.desired  # else the job is larger now, and may have been before
    seen = seat.lost is not None or (seat.index, seat.incarnation - 1) in notes.vanished
    all_ran = job.status.is_true("Running") and job.spec.elastic is None
    return existed and seat.replaces and not seat.moved and (seen or all_ran)


def active_status(job: DLTrainJob, observed: Observed, crew: Crew, site: Site, now: datetime) -> JobStatus:
    """The status of a job whose workers are seated."""
    seats = crew.seats
    status = absorbed(accepted(job, now), newest_account(observed, seats[0]), now)
    status = with_lost_workers(status, len(crew.lost))
    status = with_losses(status, [loss_of(seat.lost, silent=seat.silent) for seat in crew.lost], now)
    runs, reason, message = running_state(job, status, observed, crew)
    status = with_conditions(status, [("Running", runs)], reason, message, now)
    if status.is_true("Suspended"):
        status = with_conditions(status, [("Suspended", False)], Reason.RESUMED, "runPolicy.suspend is false", now)
    changes = {
        "incarnations": (*(seat.incarnation for seat in seats), *status.incarnations[len(seats) :]),
        "key_version": status.key_version or site.key_version,
        "start_time": status.start_time or stamp(now),
        "workers": worker_counts(job, [seat.pod for seat in seats]),
    }
    return with_phase(status.model_copy(update=changes))


def newest_account(observed: Observed, coordinator: Seat) -> GroupStatus | None:
    """The last that is known from a coordinator: what a lost one left behind, else what was sent."""
    left = read_account(coordinator.lost.account) if coordinator.lost is not None else None
    return left or observed.notes.group


def running_state(job: DLTrainJob, new: JobStatus, observed: Observed, crew: Crew) -> State:
    """Whether an attempt runs.

    Args:
        job: the job, with the status in the cluster.
        new: the status so far.
        observed: what is known of the job.
        crew: its workers.
    """
    seats, old = crew.seats, job.status
    enough = is_settled(seats[0]) if job.spec.elastic else crew.settled
    if enough and attempt_runs(old, observed, seats[0]):
        message = f"attempt {new.attempt} runs on {workers_of_attempt(observed.notes.group, len(seats))}"
        return State(runs=True, reason=Reason.RUNNING, message=message)
    message = waiting_message(seats, observed.notes)
    before = old.condition("Running")
    # A pod that was lost is no sign that an attempt ran: startupDeadlineSeconds is to go on for a job without one.
    if before is not None and (before.status == "True" or before.reason == Reason.RESTARTING):
        return State(runs=False, reason=Reason.RESTARTING, message=message)
    waits_for = Reason.STARTING if crew.settled else Reason.BLOCKED if observed.notes.trouble else Reason.PENDING
    return State(runs=False, reason=waits_for, message=message)


def workers_of_attempt(group: GroupStatus | None, desired: int) -> str:
    """On how many workers an attempt runs, in words."""
    used = len(group.workers) if group is not None and group.workers else desired
    if used != desired:
        return f"{used} of {desired} workers"
    return "1 worker" if desired == 1 else f"{desired} workers"


def attempt_runs(old: JobStatus, observed: Observed, coordinator: Seat) -> bool:
    """Whether the coordinator says that an attempt runs; without a word from it, what was true stays true."""
    group = observed.notes.group
    silent = group is None or coordinator.pod is None or observed.notes.coordinator != coordinator.pod.uid
    if silent or group is None or group.state in {"succeeded", "failed"}:
        return old.is_true("Running")  # how the job ends is for the coordinator's exit code to say
    return group.state == "running"


def waiting_message(seats: Sequence[Seat], notes: Notes) -> str:
    """What a job that does not run is waiting for."""
    state = notes.group.state if notes.group is not None else ""
    running = sum(seat.pod is not None and seat.pod.running for seat in seats)
    if running == len(seats):
        return f"all workers run; {NEXT.get(state, 'the group is forming')}"
    reasons = [notes.trouble, *(hindrance(seat.pod) for seat in seats if seat.pod is not None)]
    first = next(filter(None, reasons), "")
    return f"{running} of {len(seats)} workers run" + (f"; {first}" if first else "")


def hindrance(pod: PodRecord) -> str:
    """What keeps a pod from running; empty where nothing is known to."""
    if pod.live:
        return f"{pod.name}: {pod.trouble}" if pod.trouble and not pod.running else ""
    return f"{pod.name} {end_of(pod)} and is replaced soon"


def end_of(pod: PodRecord | None) -> str:
    """How a pod was lost."""
    if pod is None:
        return "is gone"
    if pod.exit_code is not None:
        return f"ended with exit code {pod.exit_code}"
    if pod.ended:
        return f"failed ({pod.trouble})" if pod.trouble else "failed"
    return "is being deleted"


def replacement_event(job: DLTrainJob, seat: Seat) -> JobEvent:
    """The event of a lost worker."""
    old = pod_name(job.name, seat.index, seat.incarnation - 1)
    new = pod_name(job.name, seat.index, seat.incarnation)
    end = "is not heard of any more" if seat.silent else end_of(seat.lost)
    return JobEvent("WorkerReplaced", f"{old} {end}: {new} replaces it", "Warning")


def missing_children(job: DLTrainJob, observed: Observed, site: Site) -> tuple[Manifest, ...]:
    """The children that do not exist, or were last given another content."""
    wanted = lasting_children(job, site.namespace)
    return tuple(manifest for manifest in wanted if not is_applied(manifest, observed))


def is_applied(manifest: Manifest, observed: Observed) -> bool:
    """Whether a child has this content already."""
    child = observed.children.get(manifest["kind"])
    return child is not None and child.desired_hash == manifest["metadata"]["annotations"][HASH_ANNOTATION]


def new_pod(job: DLTrainJob, seat: Seat, status: JobStatus, site: Site, avoid: tuple[str, ...]) -> NewPod:
    """The pod that a worker is to get, on none of the nodes to avoid unless it found no other."""
    key_version = status.key_version or site.key_version
    avoid = () if seat.moved else avoid
    place = Place(seat.index, seat.incarnation, key_version, status.attempt, status.restarts.user, avoid)
    manifest = in_gang(worker_pod(job, place, site.image), job, site.gangs)
    return NewPod(seat.index, seat.incarnation, manifest)


def target(job: DLTrainJob, coordinator: Seat, status: JobStatus) -> Target | None:
    """The coordinator, once it can be dialled."""
    pod = coordinator.pod
    if pod is None or not pod.running or not pod.address or status.key_version is None:
        return None
    replicas = job.spec.workers.replicas if job.spec.elastic else None
    return Target(pod.uid, pod.address, job.metadata.uid, status.key_version, replicas)
