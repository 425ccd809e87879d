"""The group's state machine: each transition, and what holds in every schedule."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dltrain_agent import events as e
from dltrain_agent import group as g
from dltrain_agent.state import Attempt, Bounds, Group
from tests.agent.builders import ended, join

VICTIM = ("HorovodInternalError",)


def gathering(replicas: int = 2, **changes: Any) -> Group:
    """A group of which only the coordinator is there."""
    fields: dict[str, Any] = {"replicas": replicas, "slots": 1, "backoff_limit": 1, "members": {0: 1}, **changes}
    return g.attended(Group(**fields), ())[0]


def running(**changes: Any) -> Group:
    """A complete group in its first attempt."""
    members: dict[str, Any] = {"members": {0: 1, 1: 1}, "attempt": Attempt(workers=(0, 1))}
    return gathering(**{"state": "running", "number": 1, **members, **changes})


def after(group: Group, *events: e.Event) -> tuple[Group, list[e.Action]]:
    """The state after some events, and all the actions on the way."""
    actions: list[e.Action] = []
    for event in events:
        group, more = g.step(group, event)
        actions += more
    return group, actions


CLEAR = (e.MemberClear(1, 0), e.MemberClear(1, 1))
ELASTIC = {"bounds": Bounds(1, 3), "replicas": 2}
GROWTH = (e.Resized(3), e.Joined(join(2)))
ALL_WELL = (e.RankEnded(1, ended(0)), e.RankEnded(1, ended(1)), e.LauncherEnded(1, "exit code 0"), *CLEAR)


def test_a_complete_group_starts() -> None:
    group, actions = after(gathering(), e.Joined(join(1)))
    assert (group.state, actions) == ("running", [e.Admit(1), e.StartAttempt(1)])


def test_an_incomplete_group_waits() -> None:
    group, actions = after(gathering(replicas=3), e.Joined(join(1)))
    assert (group.state, actions) == ("gathering", [e.Admit(1)])


def test_a_job_whose_ranks_all_end_well_succeeds_once_everyone_is_clear() -> None:
    group, actions = after(running(), *ALL_WELL)
    assert (group.state, actions) == ("succeeded", [e.StopAttempt(1), e.FinishJob(0)])


def test_a_failed_rank_ends_the_attempt_and_the_next_one_starts_when_all_are_clear() -> None:
    group, actions = after(running(), e.RankEnded(1, ended(1, 1)), *CLEAR)
    assert (group.state, group.number, group.user_restarts) == ("running", 2, 1)
    assert actions == [e.StopAttempt(1), e.StartAttempt(2)]


def test_no_attempt_starts_before_every_member_is_clear() -> None:
    group, actions = after(running(), e.RankEnded(1, ended(1, 1)), CLEAR[0])
    assert (group.state, actions) == ("ending", [e.StopAttempt(1)])


def test_beyond_the_backoff_limit_the_job_fails_with_its_cause() -> None:
    group, actions = after(running(user_restarts=1), e.RankEnded(1, ended(1, 5)), *CLEAR)
    assert (group.state, group.user_restarts) == ("failed", 1)
    assert group.failure is not None
    assert group.failure.exit_code == 5
    assert actions[-1] == e.FinishJob(64)


def test_exit_code_64_fails_the_job_at_once() -> None:
    group, _ = after(running(), e.RankEnded(1, ended(1, 64)), *CLEAR)
    assert (group.state, group.user_restarts) == ("failed", 0)


def away(attempt: int) -> tuple[e.Event, ...]:
    """An attempt ends because data was away, each time with another message."""
    end = e.RankEnded(attempt, ended(1, 67, step=0, log=(f"error {attempt}",)))
    return (end, e.MemberClear(attempt, 0), e.MemberClear(attempt, 1))


def test_each_attempt_waits_twice_as_long_as_the_one_before_while_data_is_away() -> None:
    group, rests = running(backoff_limit=20), []
    for number in range(1, 10):
        group, actions = after(group, *away(number))
        rests += [action.seconds for action in actions if isinstance(action, e.Rest)]
        group, actions = after(group, e.Rested(number))
        assert actions == [e.StartAttempt(number + 1)]
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize(
    "between",
    [
        pytest.param((e.RankEnded(2, ended(1, 1, step=0)),), id="another error"),
        pytest.param((e.RankEnded(2, ended(1, 143, step=7, interrupted=True)),), id="an attempt that has trained"),
    ],
)
def test_data_that_was_there_in_between_makes_the_wait_short_again(between: tuple[e.Event, ...]) -> None:
    group, actions = after(running(backoff_limit=20), *away(1), e.Rested(1), *between)
    group, actions = after(group, e.MemberClear(2, 0), e.MemberClear(2, 1))
    assert actions == [e.StartAttempt(3)]
    assert after(group, *away(3))[1][-1] == e.Rest(3, 5)


def test_what_comes_and_goes_while_data_is_away_neither_shortens_nor_lengthens_the_wait() -> None:
    group, actions = after(running(backoff_limit=20, **ELASTIC), *away(1), *GROWTH, e.Lost(1, 1), e.Joined(join(1, 2)))
    assert (group.state, group.number) == ("gathering", 1)
    assert [action for action in actions if isinstance(action, e.Rest | e.StartAttempt)] == [e.Rest(1, 5)]
    assert after(group, e.Rested(0))[1] == []
    assert after(group, e.Rested(1))[1] == [e.StartAttempt(2)]


def test_a_command_may_mean_anything_by_the_exit_code_of_data_that_is_away() -> None:
    _, actions = after(running(), e.RankEnded(1, ended(1, 67, step=None)), *CLEAR)
    assert actions[-1] == e.StartAttempt(2)


def test_a_lost_member_ends_the_attempt_without_counting_as_the_users_error() -> None:
    group, actions = after(running(), e.Lost(1, 1), e.MemberClear(1, 0))
    assert (group.state, group.user_restarts) == ("gathering", 0)
    assert actions == [e.StopAttempt(1), e.Doubt(1, 1)]


def test_a_member_that_is_lost_while_the_attempt_ends_is_not_waited_for() -> None:
    group, _ = after(running(), e.RankEnded(1, ended(0, 1, log=("oops",))), e.MemberClear(1, 0), e.Lost(1, 1))
    assert (group.state, group.user_restarts) == ("gathering", 0)


def test_a_loss_after_every_rank_ended_well_does_not_undo_the_success() -> None:
    group, _ = after(running(), *ALL_WELL[:3], e.Lost(1, 1), CLEAR[0])
    assert group.state == "succeeded"


def test_an_older_incarnation_is_refused() -> None:
    group, actions = after(gathering(replicas=3, members={0: 1, 1: 2}), e.Joined(join(1, 1)))
    assert (group.members, actions) == ({0: 1, 1: 2}, [e.Refuse("worker 1 has been replaced by incarnation 2")])


def test_a_newer_incarnation_replaces_the_older_and_restarts_the_attempt() -> None:
    group, actions = after(running(), e.Joined(join(1, 2)), e.MemberClear(1, 0))
    assert (group.state, group.number, group.members) == ("running", 2, {0: 1, 1: 2})
    assert actions == [e.StopAttempt(1), e.Admit(1), e.StartAttempt(2)]


def test_an_index_beyond_the_job_is_refused() -> None:
    _, actions = after(gathering(), e.Joined(join(2)))
    assert actions == [e.Refuse("there is no worker 2: the job has 2")]


def test_a_replaced_coordinator_goes_on_counting_from_what_members_know() -> None:
    group, actions = after(gathering(), e.Joined(join(1, attempt=7, user_restarts=1)))
    assert (group.number, group.user_restarts, actions[-1]) == (8, 1, e.StartAttempt(8))


def test_a_victim_is_given_time_for_the_cause_to_show() -> None:
    group, actions = after(running(), e.RankEnded(1, ended(0, 1, log=VICTIM)))
    assert (group.state, actions) == ("running", [e.Settle(1)])
    group, actions = after(group, e.RankEnded(1, ended(1, 9)))
    assert (group.state, actions) == ("ending", [e.StopAttempt(1)])


def test_a_victim_without_a_cause_ends_the_attempt_when_the_time_is_up() -> None:
    group, actions = after(running(), e.RankEnded(1, ended(0, 1, log=VICTIM)), e.Settled(1))
    assert (group.state, actions) == ("ending", [e.Settle(1), e.StopAttempt(1)])


@pytest.mark.parametrize(
    "event", [e.RankEnded(1, ended(1, 1)), e.LauncherEnded(1, "exit code 1"), e.Settled(1), *CLEAR]
)
def test_what_comes_late_from_an_earlier_attempt_changes_nothing(event: e.Event) -> None:
    group = running(number=2)
    assert g.step(group, event) == (group, ())


@pytest.mark.parametrize(
    ("told", "state", "why"),
    [
        pytest.param((), "running", "Resized", id="an attempt that makes room"),
        pytest.param((e.Spared(1),), "failed", None, id="one that is too far on"),
        pytest.param((e.Spared(0),), "running", "Resized", id="an earlier one was too far on"),
    ],
)
def test_an_error_counts_unless_the_attempt_ends_to_make_room(
    told: tuple[e.Event, ...], state: str, why: str | None
) -> None:
    group, _ = after(running(**ELASTIC), *GROWTH, *told, e.RankEnded(1, ended(1, 64)), *CLEAR, e.MemberClear(1, 2))
    reason = None if group.last_restart is None else group.last_restart.reason
    assert (group.state, reason) == (state, why)


def test_an_attempt_that_was_too_far_on_is_asked_again_when_another_member_comes() -> None:
    spared, _ = after(running(**ELASTIC), *GROWTH, e.Spared(1))
    group, actions = after(spared, e.Lost(2, 1), e.Joined(join(2, 2)))
    assert (spared.attempt.resizing, group.state, group.attempt.resizing) == (False, "running", True)
    assert actions == [e.Doubt(2, 2), e.Admit(2), e.Interrupt(1)]


class AnySchedule(RuleBasedStateMachine):
    """Members come, go and report in any order; the model is what is alive on each of them."""

    replicas = 3

    def __init__(self) -> None:
        super().__init__()
        self.group, _ = g.gather(gathering(replicas=self.replicas, backoff_limit=2))
        self.alive: dict[int, int] = {}  # index -> attempt whose processes are alive there
        self.incarnation = dict.fromkeys(range(self.replicas), 1)
        self.connected: set[int] = {0}
        self.clearing: dict[int, int] = {}
        self.highest = 0
        self.final: Group | None = None

    def feed(self, event: e.Event) -> None:
        before = self.group
        self.group, actions = g.step(before, event)
        for action in actions:
            match action:
                case e.Admit(index):
                    self.connected.add(index)
                case e.StartAttempt(number):
                    assert not self.alive, f"attempt {number} starts while {self.alive} is alive"
                    assert number > self.highest, "attempt numbers rise"
                    assert len(self.connected) == self.replicas, "only a complete group starts"
                    assert self.group.rest is None, "no attempt starts before the rest is over"
                    self.highest = number
                    self.alive = dict.fromkeys(self.connected, number)
                case e.StopAttempt(number):
                    self.clearing = dict.fromkeys(self.connected, number)

    @rule(index=st.integers(1, 2), newer=st.booleans())
    def member_joins(self, index: int, newer: bool) -> None:
        if index in self.connected and not newer:
            return
        self.incarnation[index] += newer
        self.alive.pop(index, None)  # a pod that was replaced is gone; one that lost its connection has ended its ranks
        self.clearing.pop(index, None)
        self.connected.discard(index)
        self.feed(e.Joined(join(index, self.incarnation[index], attempt=self.highest)))

    @rule(index=st.integers(1, 2))
    def member_is_lost(self, index: int) -> None:
        if index in self.connected:
            self.connected.discard(index)
            self.alive.pop(index, None)
            self.clearing.pop(index, None)
            self.feed(e.Lost(index, self.incarnation[index]))

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(), code=st.sampled_from([0, 1, 64, 65, 67]), victim=st.booleans(), step=st.sampled_from([None, 7])
    )
    def rank_ends(self, data: st.DataObject, code: int, victim: bool, step: int | None) -> None:
        index = data.draw(st.sampled_from(sorted(self.alive)))
        known: dict[str, Any] = {"step": step, "cause": "DataError" if code == 65 else None}
        self.feed(e.RankEnded(self.alive[index], ended(index, code, log=VICTIM if victim else (), **known)))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def worker_is_told_to_end(self, data: st.DataObject) -> None:
        before = self.group.user_restarts
        for index in data.draw(st.permutations(sorted(self.alive))):
            if index in self.alive:
                self.feed(e.RankEnded(self.alive[index], ended(index, 143, interrupted=True, step=7)))
        assert self.group.user_restarts == before

    @precondition(lambda self: self.highest)
    @rule(clean=st.booleans(), late=st.booleans())
    def launcher_ends(self, clean: bool, late: bool) -> None:
        self.feed(e.LauncherEnded(self.highest - late, "exit code 0" if clean else "SIGKILL"))

    @precondition(lambda self: self.highest)
    @rule()
    def time_passes(self) -> None:
        self.feed(e.Settled(self.highest))

    @precondition(lambda self: self.group.rest)
    @rule()
    def rest_ends(self) -> None:
        self.feed(e.Rested(self.group.rest or 0))

    @precondition(lambda self: self.clearing)
    @rule(data=st.data())
    def member_confirms(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(sorted(self.clearing)))
        number = self.clearing.pop(index)
        self.alive.pop(index, None)
        self.feed(e.MemberClear(number, index))

    @invariant()
    def a_job_that_is_over_stays_as_it_is(self) -> None:
        if self.final is not None:
            assert self.group == self.final
        elif self.group.over:
            self.final = self.group

    @invariant()
    def a_complete_group_never_waits(self) -> None:
        if self.group.state == "gathering" and self.group.rest is None:
            assert len(self.group.members) < self.replicas

    @invariant()
    def an_attempt_that_ends_waits_only_for_members_that_can_answer(self) -> None:
        if self.group.state == "ending":
            assert self.group.attempt.ending
            assert self.group.attempt.ending <= set(self.clearing)

    @invariant()
    def errors_of_the_user_stay_within_the_budget(self) -> None:
        assert self.group.user_restarts <= self.group.backoff_limit


TestAnySchedule = AnySchedule.TestCase


def test_the_state_machine_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that does not wait for its members is caught."""
    monkeypatch.setattr(g, "end_attempt", lambda group: g.gather(replace(group, state="gathering")))
    with pytest.raises(AssertionError):
        TestAnySchedule("runTest").runTest()
