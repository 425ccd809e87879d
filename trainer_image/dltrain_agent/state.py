"""The coordinator's view of the job: who is there, which attempt is under way, what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dltrain.api.channel import RankExit
from dltrain.api.status import Failure
from dltrain_agent.settings import Settings

State = Literal["gathering", "running", "ending", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers of workers an elastic group may run."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of the attempt under way."""

    workers: tuple[int, ...] = ()
    """The members that it runs on."""
    launcher: str | None = None
    """How mpirun ended; None while it runs."""
    launcher_log: tuple[str, ...] = ()
    exits: tuple[RankExit, ...] = ()
    lost: bool = False
    """Whether a member was lost while ranks were needed."""
    lost_index: int | None = None
    """The member that was lost first."""
    resizing: bool = False
    """Whether it is to end because the group is to be larger or smaller."""
    settling: bool = False
    """Whether a rank failed because of another one, whose own end is awaited."""
    ending: frozenset[int] = frozenset()
    """Members that have not confirmed yet that nothing of the attempt is left."""


@dataclass(frozen=True, slots=True)
class Group:
    """The coordinator's view of the job."""

    replicas: int
    """How many workers there are to be."""
    slots: int
    backoff_limit: int
    bounds: Bounds | None = None
    """Of an elastic group."""
    state: State = "gathering"
    number: int = 0
    """The newest attempt."""
    user_restarts: int = 0
    away: int = 0
    """How many attempts have failed because data was away, since one that has trained or failed otherwise."""
    rest: int | None = None
    """The attempt after which no other may start yet."""
    members: Mapping[int, int] = field(default_factory=dict)
    """Index -> incarnation of the members present."""
    attempt: Attempt = Attempt()
    failure: Failure | None = None
    last_restart: Failure | None = None
    """Why the newest attempt was started, if it is not the first."""
    missing: Mapping[int, int] = field(default_factory=dict)
    """Index -> number of its wait, of the members that should be present and are not."""
    silent: frozenset[int] = frozenset()
    """Those of them that have been missing for too long."""
    forgiven: frozenset[int] = frozenset()
    """Those of them that an elastic group does not wait for."""
    wait: int | None = None
    """The number of the wait for missing members, while an elastic group gathers."""
    waits: int = 0
    """How many waits have begun."""

    @property
    def workers(self) -> tuple[int, ...]:
        """The members that the next attempt would run on."""
        return tuple(sorted(index for index in self.members if index < self.replicas))

    @property
    def may_start(self) -> bool:
        """Whether all members that are waited for are present, and enough of them, and no rest is under way."""
        enough = self.replicas if self.bounds is None else self.bounds.minimum
        absent = set(range(self.replicas)).difference(self.members)
        complete = 0 in self.members and len(self.workers) >= enough and absent <= self.forgiven
        return complete and self.rest is None

    @property
    def interrupted(self) -> bool:
        """Whether the attempt has ended by no error: a worker was told to end, or lost, or the group changes size."""
        attempt = self.attempt
        return attempt.lost or attempt.resizing or any(rank.interrupted for rank in attempt.exits)

    @property
    def over(self) -> bool:
        """Whether the job has ended, for good or ill; final."""
        return self.state in {"succeeded", "failed"}

    @property
    def ends_well(self) -> bool:
        """Whether nothing has gone wrong in the attempt so far."""
        attempt = self.attempt
        ranks_well = all(rank.exit_code == 0 for rank in attempt.exits)
        return ranks_well and not attempt.lost and attempt.launcher in {None, "exit code 0"}


def first_group(settings: Settings) -> Group:
    """The group as a new coordinator finds it: with nobody but itself."""
    spec = settings.job.spec
    elastic = None if settings.local else spec.elastic
    return Group(
        replicas=settings.replicas,
        slots=settings.slots,
        backoff_limit=spec.run_policy.backoff_limit,
        bounds=Bounds(elastic.min_replicas, elastic.max_replicas) if elastic else None,
        number=settings.past_attempts,
        user_restarts=settings.user_restarts,
        members={0: settings.incarnation},
    )
