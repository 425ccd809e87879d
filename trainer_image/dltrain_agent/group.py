"""The group's state machine: which members are there, which attempt is under way, what follows from each event.

Pure: `step` takes a state and an event and returns the next state with the actions to carry out.  The states, and who
does what when somebody dies, are described in docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from dltrain.api.channel import Join, RankExit
from dltrain.api.status import Failure
from dltrain.names import EXIT_DO_NOT_RETRY
from dltrain_agent.causes import is_consequence, is_final, loss_of, root_cause

State = Literal["gathering", "running", "ending", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of the attempt under way."""

    launcher: str | None = None
    """How mpirun ended; None while it runs."""
    launcher_log: tuple[str, ...] = ()
    exits: tuple[RankExit, ...] = ()
    lost: bool = False
    """Whether a member was lost while ranks were needed."""
    lost_index: int | None = None
    """The member that was lost first."""
    settling: bool = False
    """Whether a rank failed because of another one, whose own end is awaited."""
    ending: frozenset[int] = frozenset()
    """Members that have not confirmed yet that nothing of the attempt is left."""


@dataclass(frozen=True, slots=True)
class Group:
    """The coordinator's view of the job."""

    replicas: int
    slots: int
    backoff_limit: int
    state: State = "gathering"
    number: int = 0
    """The newest attempt."""
    user_restarts: int = 0
    members: Mapping[int, int] = field(default_factory=dict)
    """Index -> incarnation of the members present."""
    attempt: Attempt = Attempt()
    failure: Failure | None = None
    last_restart: Failure | None = None
    """Why the newest attempt was started, if it is not the first."""

    @property
    def interrupted(self) -> bool:
        """Whether the attempt has ended because a worker was told to end."""
        return self.attempt.lost or any(rank.interrupted for rank in self.attempt.exits)

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


# ---------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class Joined:
    """A member asks to belong to the group."""

    join: Join


@dataclass(frozen=True, slots=True)
class Lost:
    """A member's connection is gone."""

    index: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class RankEnded:
    """A rank has ended."""

    attempt: int
    exit: RankExit


@dataclass(frozen=True, slots=True)
class LauncherEnded:
    """mpirun has ended."""

    attempt: int
    how: str
    """`exit code N` or a signal's name."""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberClear:
    """Nothing of the attempt is left on a member."""

    attempt: int
    index: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The time is up in which the cause of a rank's failure could end by itself."""

    attempt: int


Event = Joined | Lost | RankEnded | LauncherEnded | Settled | MemberClear


# ---------------------------------------------------------------- actions
@dataclass(frozen=True, slots=True)
class Admit:
    """Let the member that asks into the group."""

    index: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn the member that asks away for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Run mpirun over all members."""

    number: int


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Have every member present end all processes of the attempt, then confirm."""

    number: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Send Settled after SETTLE_SECONDS."""

    number: int


@dataclass(frozen=True, slots=True)
class FinishJob:
    """Have every member exit with the code, then exit with it."""

    exit_code: int


Action = Admit | Refuse | StartAttempt | StopAttempt | Settle | FinishJob
Step = tuple[Group, tuple[Action, ...]]


def step(group: Group, event: Event) -> Step:
    """The state after an event, and what to do about it; a job that is over changes no more."""
    if group.over:
        return group, (Refuse("the job is over"),) if isinstance(event, Joined) else ()
    match event:
        case Joined(join):
            return joined(group, join)
        case Lost(index, incarnation):
            return lost(group, index, incarnation)
        case MemberClear(attempt, index):
            return cleared(group, index) if attempt == group.number else (group, ())
        case _:
            return observed(group, event) if event.attempt == group.number else (group, ())


def joined(group: Group, join: Join) -> Step:
    """A member arrives: refused when older than the one known, else it replaces that one."""
    known = group.members.get(join.index)
    if join.index >= group.replicas:
        return group, (Refuse(f"there is no worker {join.index}: the job has {group.replicas}"),)
    if known is not None and join.incarnation < known:
        return group, (Refuse(f"worker {join.index} has been replaced by incarnation {known}"),)
    before, actions = lost(group, join.index, known) if known is not None else (group, ())
    after = replace(
        before,
        members={**before.members, join.index: join.incarnation},
        number=max(before.number, join.attempt) if before.state == "gathering" else before.number,
        user_restarts=max(before.user_restarts, join.user_restarts),
    )
    final, more = gather(after)
    return final, (*actions, Admit(join.index), *more)


def lost(group: Group, index: int, incarnation: int) -> Step:
    """A member goes: its ranks end by themselves, and those of the others have to be stopped."""
    if group.members.get(index) != incarnation:
        return group, ()
    members = {other: known for other, known in group.members.items() if other != index}
    group = replace(group, members=members)
    if group.state == "gathering":
        return group, ()
    first = index if group.attempt.lost_index is None else group.attempt.lost_index
    group = replace(group, attempt=replace(group.attempt, lost=True, lost_index=first))
    return cleared(group, index) if group.state == "ending" else end_attempt(group)


def observed(group: Group, event: RankEnded | LauncherEnded | Settled) -> Step:
    """Something of the attempt has ended: so does the attempt, unless it was a rank ending well, or a mere victim."""
    attempt = group.attempt
    match event:
        case RankEnded(exit=rank):
            attempt = replace(attempt, exits=(*attempt.exits, rank))
        case LauncherEnded(how=how, log=log):
            attempt = replace(attempt, launcher=how, launcher_log=log)
    group = replace(group, attempt=attempt)
    if group.state != "running":
        return group, ()
    if isinstance(event, RankEnded) and event.exit.exit_code == 0:
        return group, ()
    if isinstance(event, RankEnded) and is_consequence(event.exit):
        return settle(group)
    return end_attempt(group)


def settle(group: Group) -> Step:
    """Await the cause of a failure for a while."""
    actions = () if group.attempt.settling else (Settle(group.number),)
    return replace(group, attempt=replace(group.attempt, settling=True)), actions


def gather(group: Group) -> Step:
    """Start the next attempt if the group is complete."""
    if group.state != "gathering" or len(group.members) < group.replicas:
        return group, ()
    number = group.number + 1
    return replace(group, state="running", number=number, attempt=Attempt()), (StartAttempt(number),)


def end_attempt(group: Group) -> Step:
    """Stop what is left of the attempt on every member present."""
    attempt = replace(group.attempt, ending=frozenset(group.members))
    return replace(group, state="ending", attempt=attempt), (StopAttempt(group.number),)


def cleared(group: Group, index: int) -> Step:
    """A member has nothing left of the attempt; once all have not, the attempt is judged."""
    if group.state != "ending":
        return group, ()
    attempt = replace(group.attempt, ending=group.attempt.ending - {index})
    group = replace(group, attempt=attempt)
    return (group, ()) if attempt.ending else judge(group)


def judge(group: Group) -> Step:
    """What follows from an attempt that has ended everywhere: success, another attempt or failure."""
    attempt = group.attempt
    well = [rank for rank in attempt.exits if rank.exit_code == 0]
    if len(well) == group.replicas * group.slots and attempt.launcher == "exit code 0":
        return replace(group, state="succeeded"), (FinishJob(0),)
    if group.interrupted:
        why = loss_of(attempt.exits, attempt.lost_index, group.number)
        return gather(replace(group, state="gathering", last_restart=why))
    failure = root_cause(attempt.exits, group.number, attempt.launcher or "no end", attempt.launcher_log)
    restarts, before = group.user_restarts + 1, group.failure
    group = replace(group, user_restarts=restarts, failure=failure)
    if restarts > group.backoff_limit or is_final(failure, before):
        return replace(group, state="failed", user_restarts=restarts - 1), (FinishJob(EXIT_DO_NOT_RETRY),)
    return gather(replace(group, state="gathering", last_restart=failure))


def not_stored(group: Group, trouble: str) -> Step:
    """What follows when every rank has ended well, and what they made cannot be stored: the job has failed."""
    failure = Failure(reason="StorageError", message=trouble, attempt=group.number)
    return replace(group, state="failed", failure=failure), (FinishJob(EXIT_DO_NOT_RETRY),)
