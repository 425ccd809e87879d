"""Which pods are given up though Kubernetes has not, how pods were lost, and which nodes are avoided for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from dltrain.api.job import DLTrainJob
from dltrain.api.status import JobStatus, NodeFailures, Restarts
from dltrain.names import EXIT_TOLD_TO_END
from dltrain_operator.observed import Notes, Observed
from dltrain_operator.records import PodRecord

FIRST_AVOIDANCE: Final = timedelta(minutes=5)
"""For how long a node is avoided after one failure; each further one doubles it."""
LONGEST_AVOIDANCE: Final = timedelta(hours=1)
MEMORY: Final = timedelta(days=1)
"""After so long without another failure a node's failures are forgotten."""
KEPT_NODES: Final = 16
"""How many nodes the status tells of."""
HOUR: Final = timedelta(hours=1)

Blame = Literal["none", "repeated", "node"]
"""Whether a loss speaks against the node: never, if it happens again there, or at once."""
PREEMPTED: Final = "PreemptionByScheduler"
TAKEN_AWAY: Final = frozenset({PREEMPTED, "EvictionByEvictionAPI"})
"""Reasons of a pod's DisruptionTarget: others were given its place, or an administrator wants the node empty."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How a worker's pod was lost."""

    reason: str
    node: str
    blame: Blame
    counts: bool
    """Against runPolicy.lostPodsPerHour."""


def silent_pods(job: DLTrainJob, observed: Observed, now: datetime) -> tuple[frozenset[str], datetime | None]:
    """The uids of pods that are given up because nobody hears of their agents, and when to look again.

    A member is given up on the word of the coordinator that runs now, while the operator is in touch with it; the
    coordinator only if Kubernetes, too, hears nothing of its node, for it may be the operator that is cut off.
    """
    limit = timedelta(seconds=job.spec.guards.member_lost_seconds)
    due = [(pod.uid, given_up_at(pod, observed, limit)) for pod in observed.pods if pod.running]
    times = [(uid, at) for uid, at in due if at is not None]
    later = [at for _, at in times if at > now]
    return frozenset(uid for uid, at in times if at <= now), min(later, default=None)


def given_up_at(pod: PodRecord, observed: Observed, limit: timedelta) -> datetime | None:
    """When a pod that runs is given up, if nothing is heard of it until then; None while all is well."""
    notes = observed.notes
    if pod.index == 0:
        unheard = notes.unheard_since if notes.unheard == pod.uid and pod.unreachable else None
        return unheard + limit if unheard is not None else None
    if not speaks(notes, observed.pods) or notes.group is None or pod.index in notes.group.members:
        return None
    since = pod.seen_running_at or pod.started_at or pod.created_at
    if pod.unreachable:
        return since  # two witnesses
    return since + limit if pod.index in notes.group.silent else None


def speaks(notes: Notes, pods: Sequence[PodRecord]) -> bool:
    """Whether the operator hears the coordinator that runs now."""
    in_touch = notes.unheard != notes.coordinator
    return in_touch and any(pod.uid == notes.coordinator and pod.running for pod in pods)


def loss_of(pod: PodRecord | None, *, silent: bool) -> Loss:
    """How a pod that is replaced was lost.

    Args:
        pod: the pod; None if it has vanished.
        silent: whether it was given up because its agent was silent.
    """
    if pod is None:
        return Loss("Vanished", "", "none", counts=True)
    if pod.disruption in TAKEN_AWAY or pod.exit_code == EXIT_TOLD_TO_END:
        return Loss(pod.disruption or "ToldToEnd", pod.node, "none", counts=False)
    if pod.exit_code is not None and not pod.disruption:
        return Loss("AgentFailed", pod.node, "repeated", counts=True)
    fault = fault_of_node(pod, silent=silent)
    return Loss(fault or "Deleted", pod.node, "node" if fault else "none", counts=bool(fault))


def fault_of_node(pod: PodRecord, *, silent: bool) -> str:
    """What a node did to a pod; empty if nothing is known."""
    if silent or pod.unreachable:
        return "AgentSilent" if silent else "NodeNotReady"
    evicted = pod.trouble.partition(":")[0] or "PodFailed"  # by the kubelet, or it could not be started
    return pod.disruption or (evicted if pod.ended else "")


def with_losses(status: JobStatus, losses: Sequence[Loss], now: datetime) -> JobStatus:
    """A status that tells of more lost pods: on which nodes, and how many within the hour."""
    known = tuple(entry for entry in status.node_failures or () if now - entry.time < MEMORY)
    for loss in losses:
        if loss.node and loss.blame != "none":
            known = with_failure(known, loss, now)
    counted = sum(loss.counts for loss in losses)
    restarts = status.restarts
    if counted:
        since = restarts.hour_since if hour_lasts(restarts, now) else now.replace(microsecond=0)
        hour = lost_within_hour(restarts, now) + counted
        restarts = restarts.model_copy(update={"hour": hour, "hour_since": since})
    return status.model_copy(update={"node_failures": known[:KEPT_NODES] or None, "restarts": restarts})


def with_failure(known: Sequence[NodeFailures], loss: Loss, now: datetime) -> tuple[NodeFailures, ...]:
    """The failures by node, after one more; the latest first."""
    before = next((entry for entry in known if entry.node == loss.node), None)
    count = 1 + (before.count if before else 0)
    strikes = count if loss.blame == "node" else count - 1
    avoidance = min(FIRST_AVOIDANCE * 2 ** min(strikes - 1, 10), LONGEST_AVOIDANCE) if strikes else None
    time = now.replace(microsecond=0)
    entry = NodeFailures(
        node=loss.node,
        count=count,
        reason=loss.reason,
        time=time,
        avoid_until=time + avoidance if avoidance else None,
    )
    return (entry, *(one for one in known if one.node != loss.node))


def avoided_nodes(status: JobStatus, now: datetime) -> tuple[str, ...]:
    """The nodes on which the job wants no pod at this moment, sorted."""
    return tuple(sorted(one.node for one in status.node_failures or () if one.avoid_until and one.avoid_until > now))


def hour_lasts(restarts: Restarts, now: datetime) -> bool:
    """Whether the hour in which lost pods were counted last is not over."""
    return restarts.hour_since is not None and now - restarts.hour_since < HOUR


def lost_within_hour(restarts: Restarts, now: datetime) -> int:
    """How many lost pods count at this moment; the status keeps its number until the next loss."""
    return (restarts.hour or 0) if hour_lasts(restarts, now) else 0


def hourly_limit(job: DLTrainJob) -> int:
    """How many pods the job may lose within an hour; by default no fewer once an elastic job is made smaller."""
    spec = job.spec
    workers = spec.elastic.max_replicas if spec.elastic else spec.workers.replicas
    return spec.run_policy.lost_pods_per_hour or 60 + 2 * workers
