"""The group's state machine: which members are there, which attempt is under way, what follows from each event.

Pure: `step` takes a state and an event and returns the next state with the actions to carry out.  The states, and who
does what when somebody dies, are described in docs/architecture.md.
"""

from __future__ import annotations

from dataclasses import replace

from dltrain.api.channel import Join
from dltrain.api.status import Failure
from dltrain.names import EXIT_DO_NOT_RETRY
from dltrain_agent.causes import is_consequence, is_final, loss_of, resizing, rest_seconds, root_cause, was_away
from dltrain_agent.events import (
    Action,
    Admit,
    Doubt,
    Event,
    FinishJob,
    Interrupt,
    Joined,
    LauncherEnded,
    Lost,
    MemberClear,
    Overdue,
    RankEnded,
    Refuse,
    Resized,
    Rest,
    Rested,
    Settle,
    Settled,
    Spared,
    StartAttempt,
    StopAttempt,
    Wait,
    Waited,
)
from dltrain_agent.state import Attempt, Group

Step = tuple[Group, tuple[Action, ...]]


def begin(group: Group) -> Step:
    """The first step of a new coordinator."""
    return attended(*gather(group))


def step(group: Group, event: Event) -> Step:
    """The state after an event, and what to do about it; a job that is over changes no more."""
    if group.over:
        return group, (Refuse("the job is over"),) if isinstance(event, Joined) else ()
    return attended(*transition(group, event))


def attended(group: Group, actions: tuple[Action, ...]) -> Step:
    """A step, with the waits that it begins and ends: for each missing member, and for all of them to gather."""
    if group.over:
        return group, actions
    absent = [index for index in range(group.replicas) if index not in group.members]
    new = [index for index in absent if index not in group.missing]
    waits = {index: group.waits + place for place, index in enumerate(new, start=1)}
    missing = {index: group.missing.get(index) or waits[index] for index in absent}
    group = replace(group, missing=missing, waits=group.waits + len(new))
    group = replace(group, silent=group.silent.intersection(absent), forgiven=group.forgiven.intersection(absent))
    doubts = tuple(Doubt(index, wait) for index, wait in waits.items())
    group, wait = patient(group)
    return group, (*actions, *doubts, *wait)


def patient(group: Group) -> Step:
    """An elastic group that gathers waits for its members for a while; any other one does not."""
    if group.bounds is None or group.state != "gathering":
        return replace(group, wait=None), ()
    if group.wait is not None:
        return group, ()
    number = group.waits + 1
    return replace(group, wait=number, waits=number), (Wait(number),)


def transition(group: Group, event: Event) -> Step:
    """The state after an event while the job goes on."""
    match event:
        case Joined(join):
            return joined(group, join)
        case Lost(index, incarnation):
            return lost(group, index, incarnation)
        case MemberClear(attempt, index):
            return cleared(group, index) if attempt == group.number else (group, ())
        case Spared(attempt):
            return spared(group) if attempt == group.number else (group, ())
        case Resized() | Waited() | Overdue() | Rested():
            return told(group, event)
        case _:
            return observed(group, event) if event.attempt == group.number else (group, ())


def told(group: Group, event: Resized | Waited | Overdue | Rested) -> Step:
    """The operator or the clock has spoken; of a wait that is over it says nothing."""
    match event:
        case Resized(replicas):
            return resized(group, replicas)
        case Waited(wait):
            return waited(replace(group, wait=None)) if wait == group.wait else (group, ())
        case Rested(after):
            return gather(replace(group, rest=None)) if after == group.rest else (group, ())
        case Overdue(index, wait):
            overdue = {index} if group.missing.get(index) == wait else set()
            return replace(group, silent=group.silent | overdue), ()


def joined(group: Group, join: Join) -> Step:
    """A member arrives: refused when older than the one known, else it replaces that one."""
    known = group.members.get(join.index)
    limit = group.bounds.maximum if group.bounds else group.replicas
    if join.index >= limit:
        return group, (Refuse(f"there is no worker {join.index}: the job has {limit}"),)
    if known is not None and join.incarnation < known:
        return group, (Refuse(f"worker {join.index} has been replaced by incarnation {known}"),)
    before, actions = lost(group, join.index, known) if known is not None else (group, ())
    after = replace(
        before,
        members={**before.members, join.index: join.incarnation},
        number=max(before.number, join.attempt) if before.state == "gathering" else before.number,
        user_restarts=max(before.user_restarts, join.user_restarts),
    )
    final, more = grown(after) if after.state == "running" else gather(after)
    return final, (*actions, Admit(join.index), *more)


def lost(group: Group, index: int, incarnation: int) -> Step:
    """A member goes: its ranks end by themselves, and those of the others have to be stopped."""
    if group.members.get(index) != incarnation:
        return group, ()
    members = {other: known for other, known in group.members.items() if other != index}
    group = replace(group, members=members)
    if group.state == "gathering" or index not in group.attempt.workers:
        return cleared(group, index)
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


def resized(group: Group, replicas: int) -> Step:
    """An elastic group is to have so many workers from now on; new ones are not waited for while an attempt runs."""
    if group.bounds is None or replicas == group.replicas:
        return group, ()
    new = frozenset(range(group.replicas, replicas))
    group = replace(group, replicas=replicas)
    if group.state != "running":
        return gather(group)
    return grown(replace(group, forgiven=group.forgiven | new))


def grown(group: Group) -> Step:
    """Let the attempt that runs make room for one on other workers, if it is not on all that are to be."""
    if group.attempt.workers == group.workers or group.attempt.resizing:
        return group, ()
    return replace(group, attempt=replace(group.attempt, resizing=True)), (Interrupt(group.number),)


def spared(group: Group) -> Step:
    """The attempt goes on as it is: what ends it from now on is judged for itself."""
    return replace(group, attempt=replace(group.attempt, resizing=False)), ()


def waited(group: Group) -> Step:
    """Go on without those who have not come in time, as soon as enough others are there."""
    absent = frozenset(range(group.replicas)).difference(group.members)
    return gather(replace(group, forgiven=absent))


def gather(group: Group) -> Step:
    """Start the next attempt if all are there who are waited for."""
    if group.state != "gathering" or not group.may_start:
        return group, ()
    number, attempt = group.number + 1, Attempt(workers=group.workers)
    return replace(group, state="running", number=number, attempt=attempt), (StartAttempt(number),)


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
    if len(well) == len(attempt.workers) * group.slots and attempt.launcher == "exit code 0":
        return replace(group, state="succeeded"), (FinishJob(0),)
    if group.interrupted:
        why = resizing(group.number) if attempt.resizing else loss_of(attempt.exits, attempt.lost_index, group.number)
        away = 0 if any(rank.step for rank in attempt.exits) else group.away
        return gather(replace(group, state="gathering", last_restart=why, away=away))
    failure = root_cause(attempt.exits, group.number, attempt.launcher or "no end", attempt.launcher_log)
    restarts, before = group.user_restarts + 1, group.failure
    group = replace(group, user_restarts=restarts, failure=failure)
    if restarts > group.backoff_limit or is_final(failure, before):
        return replace(group, state="failed", user_restarts=restarts - 1), (FinishJob(EXIT_DO_NOT_RETRY),)
    return rest(replace(group, state="gathering", last_restart=failure), failure)


def rest(group: Group, failure: Failure) -> Step:
    """Let time pass before the next attempt if the data was away; else it follows at once."""
    if not was_away(failure):
        return gather(replace(group, away=0))
    group = replace(group, away=group.away + 1, rest=group.number)
    return group, (Rest(group.number, rest_seconds(group.away)),)


def not_stored(group: Group, trouble: str) -> Step:
    """What follows when every rank has ended well, and what they made cannot be stored: the job has failed."""
    failure = Failure(reason="StorageError", message=trouble, attempt=group.number)
    return replace(group, state="failed", failure=failure), (FinishJob(EXIT_DO_NOT_RETRY),)
