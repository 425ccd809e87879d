"""Coordinator and members over a simulated network and clock: what holds in every schedule."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dltrain_agent import events as e
from dltrain_agent import group as g
from dltrain_agent.state import Bounds, Group
from tests.agent.simulation import Agent, Simulation

INDEXES = st.integers(0, 3)


class AnySchedule(RuleBasedStateMachine):
    """Pods die, networks are cut, ranks fail, sizes change, messages are late; the simulation checks every start."""

    sim: Simulation

    @initialize(replicas=st.integers(1, 3), elastic=st.booleans(), backoff_limit=st.integers(0, 3))
    def begin(self, replicas: int, elastic: bool, backoff_limit: int) -> None:
        self.sim = Simulation(replicas, Bounds(1, 4) if elastic else None, backoff_limit)

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 11.0, 35.0]))
    def time_passes(self, seconds: float) -> None:
        self.sim.advance(seconds)

    @rule(data=st.data())
    def one_message_arrives(self, data: st.DataObject) -> None:
        if self.sim.links:
            link = data.draw(st.sampled_from(self.sim.links))
            self.sim.deliver(link, data.draw(st.sampled_from([0, 1])))

    @rule()
    def the_operator_looks(self) -> None:
        self.sim.operate()

    @rule(index=INDEXES)
    def a_pod_dies(self, index: int) -> None:
        agent = self.sim.newest(index)
        if agent is not None:
            self.sim.kill(agent)

    @rule(far=st.sets(INDEXES, min_size=1))
    def the_network_is_cut(self, far: set[int]) -> None:
        self.sim.cut(far)

    @rule()
    def the_network_heals(self) -> None:
        self.sim.heal()

    @rule()
    def kubernetes_gives_up_the_coordinators_node(self) -> None:
        self.sim.replace_far_coordinator()

    @rule(data=st.data(), code=st.sampled_from([0, 1, 9, 64, 65]), told=st.booleans())
    def a_rank_ends(self, data: st.DataObject, code: int, told: bool) -> None:
        working = [agent for agent in self.sim.agents if agent.alive and agent.ranks is not None]
        if working:
            self.sim.rank_ends(data.draw(st.sampled_from(working)), 143 if told else code, told=told)

    @rule()
    def all_ranks_end_well(self) -> None:
        coordinator = self.sim.newest(0)
        if coordinator is None or coordinator.ranks is None:
            return
        number = coordinator.ranks
        for agent in [one for one in self.sim.agents if one.ranks == number and one.alive]:
            self.sim.rank_ends(agent, 0)
        self.sim.deliver_all()
        self.sim.tell(coordinator, e.LauncherEnded(number, "exit code 0"))

    @precondition(lambda self: self.sim.bounds is not None)
    @rule(replicas=st.integers(1, 4))
    def the_user_scales(self, replicas: int) -> None:
        self.sim.replicas = replicas

    @rule()
    def all_is_calm(self) -> None:
        """However it has been, once nothing disturbs them any more, the group runs or the job is over."""
        self.sim.heal()
        for _ in range(8):
            self.sim.operate()
            self.sim.advance(12.0)
        coordinator = self.sim.newest(0)
        assert coordinator is not None
        assert coordinator.group is not None
        state = coordinator.group.state
        assert self.sim.outcome is not None or state == "running", f"the group is still {state}"
        if self.sim.outcome is None:
            assert coordinator.group.attempt.workers == tuple(range(self.sim.replicas)), "and on all of its workers"

    @invariant()
    def a_job_that_is_over_stays_as_it_is(self) -> None:
        if not hasattr(self, "sim") or self.sim.outcome is None:
            return
        for agent in self.sim.agents:
            if agent is self.sim.newest(0) and agent.group is not None and agent.group.over:
                assert agent.group.state == self.sim.outcome


TestAnySchedule = AnySchedule.TestCase
TestAnySchedule.settings = settings(
    max_examples=int(os.environ.get("SCHEDULES", "100")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def workers_of(sim: Simulation) -> tuple[int, ...]:
    """The workers of the attempt that runs."""
    coordinator = sim.newest(0)
    assert coordinator is not None
    assert coordinator.group is not None
    return coordinator.group.attempt.workers if coordinator.group.state == "running" else ()


def far_member() -> tuple[Simulation, Agent]:
    """A job of two of which a member is cut off while an attempt runs."""
    sim = Simulation(2, None)
    sim.advance(2)
    assert workers_of(sim) == (0, 1)
    sim.cut({1})
    member = sim.newest(1)
    assert member is not None
    return sim, member


def test_a_silent_member_is_replaced_after_memberLostSeconds() -> None:  # noqa: N802 - the field's name
    sim, member = far_member()
    sim.advance(39)
    sim.operate()
    assert sim.newest(1) is member
    sim.advance(2)
    sim.operate()
    sim.advance(2)
    assert (sim.newest(1) is not member, workers_of(sim)) == (True, (0, 1))


def test_a_member_that_comes_back_after_its_replacement_is_refused() -> None:
    sim, member = far_member()
    sim.advance(41)
    sim.operate()
    sim.advance(2)
    started = len(sim.started)
    for agent in sim.agents:
        agent.far = False  # the kubelet has not heard yet that the pod is deleted
    sim.advance(5)
    assert (member.alive, member.ranks, len(sim.started)) == (False, None, started)


def test_an_elastic_group_goes_on_without_a_member_and_grows_again_when_it_is_back() -> None:
    sim = Simulation(3, Bounds(1, 3))
    sim.advance(2)
    sim.cut({2})
    sim.advance(12)
    assert workers_of(sim) == ()
    sim.advance(20)
    assert workers_of(sim) == (0, 1)
    sim.heal()
    sim.advance(5)
    assert workers_of(sim) == (0, 1, 2)


def test_a_group_without_fences_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that starts the next attempt before the last one has ended does not get past the simulation."""

    def hasty(group: Group) -> g.Step:
        return g.gather(replace(group, state="gathering"))

    monkeypatch.setattr(g, "end_attempt", hasty)
    quickly = settings(TestAnySchedule.settings, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(AnySchedule, settings=quickly)


def test_without_its_patience_an_elastic_group_would_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation's clock is what lets the group go on."""
    monkeypatch.setattr(g, "waited", lambda group: (group, ()))
    sim = Simulation(3, Bounds(1, 3))
    sim.advance(2)
    sim.cut({2})
    sim.advance(60)
    assert workers_of(sim) == ()
