"""Which pods a job's workers need: what to create, what to delete, what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dltrain.names import EXIT_DO_NOT_RETRY
from dltrain_operator.pace import earliest
from dltrain_operator.records import PodRecord

FINISH_GRACE: Final = timedelta(seconds=10)
"""How long after a member ended as it was told to, worker 0 may take to end too."""
SHORT_LIFE: Final = timedelta(seconds=60)
"""A pod that ends sooner counts towards the back-off."""
BACKOFF_LIMIT: Final = timedelta(seconds=16)
"""The longest that a replacement waits."""
CLOCKS_DIFFER: Final = timedelta(seconds=10)
"""By how much the clock of a node may be ahead; preflight warns from half of it on."""
AVOIDS_FOR: Final = timedelta(seconds=60)
"""How long a pod waits for a node other than those it was made to avoid."""
KEPT_PODS: Final = 6
"""How many pods of one worker are kept for their logs, the present one included."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One worker: which pod it has, or is to have."""

    index: int
    incarnation: int
    """The highest number used, the pod to be created included; 0 before the first."""
    pod: PodRecord | None = None
    """The pod of that number, unless it has just been given up."""
    create: bool = False
    """Whether a pod of that number is to be created."""
    lost: PodRecord | None = None
    """The pod that the new one replaces, where it is still there to be seen."""
    replaces: bool = False
    """Whether an earlier pod of this worker is given up."""
    retry_at: datetime | None = None
    """When to look again, where a replacement or a removal has to wait."""
    finishing: bool = False
    """Whether the pod ended as if told to by a coordinator that has not ended yet."""
    remove: tuple[PodRecord, ...] = ()
    """Pods of this worker that are in the way."""
    silent: bool = False
    """Whether the pod was given up because nobody hears of its agent."""
    moved: bool = False
    """Whether the pod was given up because it waits for the only nodes that it was made to avoid."""


@dataclass(frozen=True, slots=True)
class WorkerPods:
    """All pods of one worker, and what was recorded of it."""

    index: int
    recorded: int
    """The highest incarnation in the job's status; 0 for none."""
    pods: tuple[PodRecord, ...]

    @property
    def used(self) -> int:
        """The highest incarnation ever used."""
        return max([self.recorded, *(pod.incarnation for pod in self.pods)])

    @property
    def current(self) -> PodRecord | None:
        """The pod of the highest incarnation, if it is there."""
        return next((pod for pod in self.pods if pod.incarnation == self.used), None)


def group_by_worker(replicas: int, incarnations: Sequence[int], pods: Sequence[PodRecord]) -> tuple[WorkerPods, ...]:
    """The pods of each worker, by index."""
    by_index: dict[int, list[PodRecord]] = {index: [] for index in range(replicas)}
    for pod in pods:
        by_index.setdefault(pod.index, []).append(pod)
    recorded = [*incarnations, *[0] * (replicas - len(incarnations))]
    return tuple(WorkerPods(index, recorded[index], tuple(by_index[index])) for index in range(replicas))


def seat_workers(
    workers: Sequence[WorkerPods],
    issued: frozenset[tuple[int, int]],
    now: datetime,
    silent: frozenset[str] = frozenset(),
) -> tuple[Seat, ...]:
    """Decide for each worker whether it keeps its pod, waits, or gets a new one.

    Args:
        workers: the pods by worker.
        issued: (index, incarnation) that may still be created under that number, see Notes.
        now: the present time.
        silent: the uids of pods that are given up because nobody hears of their agents.
    """
    coordinator = workers[0].current
    coordinator_lives = coordinator is not None and coordinator.live
    return tuple(
        given_up(worker, now, silent) or seat_worker(worker, issued, now, coordinator_lives=coordinator_lives)
        for worker in workers
    )


def given_up(worker: WorkerPods, now: datetime, silent: frozenset[str]) -> Seat | None:
    """The seat of a worker whose pod lives, for all that Kubernetes knows, and is replaced; None where it is kept."""
    current = worker.current
    if current is None or not current.live:
        return None
    is_silent, moves = current.uid in silent, may_move(current, now)
    if not is_silent and not moves:
        return None
    remove, later = in_the_way(worker, now)
    seat = Seat(worker.index, worker.used + 1, create=True, lost=current, replaces=True, retry_at=later)
    return replace(seat, remove=(*remove, current), silent=is_silent, moved=moves and not is_silent)


def may_move(pod: PodRecord, now: datetime) -> bool:
    """Whether a pod that avoids nodes finds no other one: a poor node is better than none."""
    return pod.avoids and not pod.node and now >= pod.created_at + AVOIDS_FOR


def seat_worker(
    worker: WorkerPods, issued: frozenset[tuple[int, int]], now: datetime, *, coordinator_lives: bool
) -> Seat:
    """Decide for one worker."""
    current, used = worker.current, worker.used
    remove, later = in_the_way(worker, now)
    if current is not None and current.live:
        moves_at = current.created_at + AVOIDS_FOR if current.avoids and not current.node else None
        return Seat(worker.index, used, pod=current, retry_at=earliest([later, moves_at]), remove=remove)
    if current is None and (used == 0 or (worker.index, used) in issued):
        return Seat(worker.index, max(used, 1), create=True, retry_at=later, remove=remove)
    finishing = may_be_finishing(worker, coordinator_lives=coordinator_lives)
    retry_at = earliest_replacement(worker, now, finishing=finishing)
    if retry_at is not None and retry_at > now:
        again = min(retry_at, later or retry_at)
        return Seat(worker.index, used, pod=current, retry_at=again, finishing=finishing, remove=remove)
    return Seat(worker.index, used + 1, create=True, lost=current, replaces=True, retry_at=later, remove=remove)


def in_the_way(worker: WorkerPods, now: datetime) -> tuple[tuple[PodRecord, ...], datetime | None]:
    """Pods to remove, and when another one will have to be.

    Those that hold resources beside the present one, and ended ones that are too many.  A pod whose agent has ended is
    given a moment: the kubelet tells of the container's end before the pod's, and with a pod that is deleted between
    the two its log is lost.
    """
    oldest_kept = worker.used - KEPT_PODS + 1
    due = [
        (removal_time(pod, now), pod)
        for pod in worker.pods
        if pod.deletes_at is None
        and ((pod.removable and not (pod.live and pod == worker.current)) or pod.incarnation < oldest_kept)
    ]
    later = [time for time, _ in due if time > now]
    return tuple(pod for time, pod in due if time <= now), min(later, default=None)


def removal_time(pod: PodRecord, now: datetime) -> datetime:
    """When a pod that is in the way may be removed."""
    lingers = pod.ended and pod.removable  # a sidecar keeps it running, or the kubelet is not done with it
    return after(pod.ended_at or pod.created_at, FINISH_GRACE, now) if lingers else now


def may_be_finishing(worker: WorkerPods, *, coordinator_lives: bool) -> bool:
    """Whether a member ended as it does at the end of a job, so that worker 0 is expected to end next."""
    current = worker.current
    return (
        worker.index > 0
        and coordinator_lives
        and current is not None
        and current.deletes_at is None
        and current.exit_code in {0, EXIT_DO_NOT_RETRY}
    )


def after(moment: datetime, wait: timedelta, now: datetime) -> datetime:
    """A wait after a moment that a node has told; no wait where that is far ahead: the clock of the node is wrong."""
    return moment + wait if moment <= now + CLOCKS_DIFFER else now


def earliest_replacement(worker: WorkerPods, now: datetime, *, finishing: bool) -> datetime | None:
    """When a pod that ended may be replaced; None for at once."""
    current = worker.current
    if current is None or current.deletes_at is not None:
        return None
    ended = current.ended_at or current.created_at
    return after(ended, FINISH_GRACE if finishing else backoff(worker.pods), now)


def backoff(pods: Sequence[PodRecord]) -> timedelta:
    """How long to wait after the newest of a worker's pods has ended: 0, 1, 2, 4 ... seconds, capped."""
    short = sum(pod.ended and (pod.ended_at or pod.created_at) - pod.created_at < SHORT_LIFE for pod in pods)
    return min(timedelta(seconds=2 ** (short - 2)), BACKOFF_LIMIT) if short > 1 else timedelta()
