"""A job's agents, their network, their clock and the operator's replacements, all simulated around the group machine.

An agent does here what `coordinator.py`, `member.py` and `worker.py` do, without processes and sockets: messages arrive
in order on a connection or not at all, a cut is noticed by each side when its patience is over, ranks take a moment to
end.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from dltrain.api.channel import MEMBER_LOST_SECONDS
from dltrain_agent import events as e
from dltrain_agent import group as g
from dltrain_agent.causes import SETTLE_SECONDS
from dltrain_agent.state import Bounds, Group
from tests.agent.builders import ended, join

MEMBER_LOST: Final = 30.0
REJOIN: Final = 20.0
CLEARING: Final = 0.1
"""How long the ranks of one agent take to end, in seconds."""
REDIAL: Final = 1.0


@dataclass(eq=False)
class Link:
    """A connection between a coordinator and a member; each side learns of its end by itself."""

    coordinator: Agent
    member: Agent
    to_member: list[Any] = field(default_factory=list)
    to_coordinator: list[Any] = field(default_factory=list)
    open_at: set[int] = field(default_factory=lambda: {0, 1})
    """The sides that believe in it: 0 the coordinator, 1 the member."""


@dataclass(eq=False)
class Agent:
    """One incarnation of a worker."""

    index: int
    incarnation: int
    past: int
    """The attempts that the operator told it of."""
    alive: bool = True
    far: bool = False
    """Whether it is on the side of a cut where the operator is not."""
    ranks: int | None = None
    """The attempt whose ranks live here."""
    clearing: bool = False
    link: Link | None = None
    known: int = 0
    """The highest attempt that a member has seen."""
    group: Group | None = None
    """Of a coordinator."""
    members: dict[int, Link] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.index}-{self.incarnation}"


class Simulation:
    """Everything at one moment."""

    def __init__(self, replicas: int, bounds: Bounds | None, backoff_limit: int = 2) -> None:
        self.replicas, self.bounds, self.backoff_limit = replicas, bounds, backoff_limit
        self.now = 0.0
        self.agents: list[Agent] = []
        self.links: list[Link] = []
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.told = 0
        """The highest attempt that the operator has heard of."""
        self.started: list[tuple[Agent, int, tuple[Agent, ...]]] = []
        self.outcome: str | None = None
        self.operate()

    # ------------------------------------------------------------ clock and network
    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self.timers, (self.now + seconds, next(self.order), action))

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due happens in its order, and messages arrive first."""
        until = self.now + seconds
        self.deliver_all()
        while self.timers and self.timers[0][0] <= until:
            self.now, _, action = heapq.heappop(self.timers)
            action()
            self.deliver_all()
        self.now = until

    def reach(self, one: Agent, other: Agent) -> bool:
        """Whether a message between two agents arrives now."""
        return one.alive and other.alive and one.far == other.far

    def deliver_all(self) -> None:
        """Let every message that can arrive do so."""
        while any(self.deliver(link, side) for link in list(self.links) for side in (0, 1)):
            pass

    def deliver(self, link: Link, side: int) -> bool:
        """Let the oldest message to one side of a connection arrive; whether there was one."""
        queue = link.to_coordinator if side == 0 else link.to_member
        if not queue or not self.reach(link.coordinator, link.member) or side not in link.open_at:
            return False
        message = queue.pop(0)
        if side == 0:
            self.coordinator_hears(link, message)
        else:
            self.member_hears(link, message)
        return True

    def drop(self, link: Link, side: int) -> None:
        """One side learns that a connection is gone."""
        if side not in link.open_at:
            return
        link.open_at.discard(side)
        if link in self.links and not link.open_at:
            self.links.remove(link)
        if side == 0:
            self.coordinator_loses(link)
        elif link.member.alive and link.member.link is link:
            link.member.link = None
            self.clear(link.member, lambda: self.later(REDIAL, lambda: self.dial(link.member)))

    def close(self, link: Link) -> None:
        """One side closes a connection, or dies: the other learns of it, across a cut when its patience is over."""
        seconds = 0.0 if link.coordinator.far == link.member.far else MEMBER_LOST_SECONDS
        for side in (0, 1):
            self.later(seconds, partial(self.drop, link, side))

    def cut(self, far: set[int]) -> None:
        """Cut agents, by index, off from all others and from the operator; connections across are noticed in time.

        Those that were cut off before and are no more are back: their kubelets end what was deleted meanwhile.
        """
        for agent in self.agents:
            agent.far = agent.index in far
        self.end_deleted()
        for link in list(self.links):
            if link.coordinator.far != link.member.far:
                self.later(MEMBER_LOST_SECONDS, partial(self.drop, link, 0))
                self.later(MEMBER_LOST_SECONDS, partial(self.drop, link, 1))

    def heal(self) -> None:
        """The network is whole again."""
        self.cut(set())

    def end_deleted(self) -> None:
        """Kubelets that reach the API server end the pods that have been replaced."""
        for agent in list(self.agents):
            if not agent.far and agent is not self.newest(agent.index):
                self.kill(agent)

    # ------------------------------------------------------------ pods
    def newest(self, index: int) -> Agent | None:
        """The newest incarnation of a worker."""
        return max((one for one in self.agents if one.index == index), key=lambda one: one.incarnation, default=None)

    def kill(self, agent: Agent) -> None:
        """A pod is gone, with everything in it."""
        if not agent.alive:
            return
        agent.alive, agent.ranks = False, None
        for link in [one for one in self.links if agent in {one.coordinator, one.member}]:
            self.close(link)

    def operate(self) -> None:
        """The operator looks: it replaces pods that are gone, and those of whose silence it is told."""
        coordinator = self.newest(0)
        if coordinator is not None and coordinator.alive and not coordinator.far:
            self.listen(coordinator)
        for index in range(self.replicas):
            known = self.newest(index)
            if known is None or not known.alive:
                self.create(index)
        for agent in self.agents:
            if agent.index >= self.replicas and not agent.far:
                self.kill(agent)

    def listen(self, coordinator: Agent) -> None:
        """The operator hears a coordinator, and tells it the size of the group."""
        assert coordinator.group is not None
        self.told = max(self.told, coordinator.group.number)
        for index in coordinator.group.silent:
            silent = self.newest(index)
            if silent is not None and silent.far:
                self.create(index)
        self.tell(coordinator, e.Resized(self.replicas))

    def replace_far_coordinator(self) -> None:
        """Kubernetes hears nothing of worker 0's node, and neither does the operator."""
        coordinator = self.newest(0)
        if coordinator is not None and coordinator.far and self.outcome is None:
            self.create(0)

    def create(self, index: int) -> None:
        """A new pod, on the operator's side of any cut."""
        if self.outcome is not None:
            return
        before = self.newest(index)
        agent = Agent(index, before.incarnation + 1 if before else 1, self.told, known=self.told)
        self.agents.append(agent)
        if before is not None and not before.far:
            self.kill(before)
        if index > 0:
            self.dial(agent)
            return
        agent.group, actions = g.begin(
            Group(
                self.replicas,
                slots=1,
                backoff_limit=self.backoff_limit,
                bounds=self.bounds,
                number=self.told,
                members={0: agent.incarnation},
            )
        )
        self.act(agent, actions, None)

    # ------------------------------------------------------------ coordinators
    def tell(self, coordinator: Agent, event: e.Event, link: Link | None = None) -> None:
        """A coordinator takes an event."""
        if coordinator.alive and coordinator.group is not None:
            coordinator.group, actions = g.step(coordinator.group, event)
            self.act(coordinator, actions, link)

    def act(self, coordinator: Agent, actions: tuple[e.Action, ...], link: Link | None) -> None:
        """A coordinator does what its group asks for."""
        for action in actions:
            match action:
                case e.Admit(index):
                    assert link is not None
                    self.forget(coordinator, index)
                    coordinator.members[index] = link
                case e.Refuse():
                    assert link is not None
                    link.to_member.append("refused")
                case e.StartAttempt(number):
                    self.start(coordinator, number)
                case e.StopAttempt(number):
                    for member in coordinator.members.values():
                        member.to_member.append(("end", number))
                    self.clear(coordinator, partial(self.tell, coordinator, e.MemberClear(number, 0)))
                case e.FinishJob():
                    assert coordinator.group is not None
                    self.finish(coordinator, coordinator.group.state)
                case _:
                    seconds, event = timer_of(action)
                    self.later(seconds, partial(self.tell, coordinator, event))

    def start(self, coordinator: Agent, number: int) -> None:
        """An attempt starts on the members that its coordinator counts on."""
        assert coordinator.group is not None
        workers = coordinator.group.attempt.workers
        links = {index: coordinator.members[index] for index in workers if index}
        self.check_start(coordinator, number, workers)
        coordinator.ranks = number
        for link in links.values():
            link.to_member.append(("launch", number))
        self.started.append((coordinator, number, (coordinator, *(link.member for link in links.values()))))

    def check_start(self, coordinator: Agent, number: int, workers: tuple[int, ...]) -> None:
        """What has to hold whenever an attempt starts."""
        assert self.outcome is None or coordinator.far, "terminal is final"
        assert coordinator.group is not None
        own = [earlier for starter, earlier, _ in self.started if starter is coordinator]
        assert number > max([coordinator.past, *own]), "attempt numbers only rise"
        enough = self.bounds.minimum if self.bounds else coordinator.group.replicas
        assert len(workers) >= enough, "only a group that is complete, or large enough, starts"
        for starter, other, crew in self.started:
            apart = coordinator.far or all(one.far for one in crew)  # the case that docs/recovery.md leaves open
            if self.can_step(other, crew) and (starter is coordinator or not apart):
                raise AssertionError(f"attempt {other} of {starter.name} lives when {number} starts")

    def can_step(self, number: int, crew: tuple[Agent, ...]) -> bool:
        """Whether all ranks of an attempt live, and reach each other."""
        return all(one.alive and one.ranks == number and one.far == crew[0].far for one in crew)

    def forget(self, coordinator: Agent, index: int) -> None:
        """A coordinator closes its connection to a member, if it has one."""
        link = coordinator.members.pop(index, None)
        if link is not None:
            link.open_at.discard(0)
            self.close(link)

    def finish(self, coordinator: Agent, outcome: str) -> None:
        """A coordinator ends the job; its exit code decides, if its pod is the one that counts."""
        if coordinator is self.newest(0):
            assert self.outcome in {None, outcome}, "terminal is final"
            self.outcome = outcome
        for agent in [coordinator, *(link.member for link in coordinator.members.values())]:
            agent.ranks = None

    def coordinator_hears(self, link: Link, message: Any) -> None:
        """A member has said something."""
        coordinator, member = link.coordinator, link.member
        if message == "join":
            self.tell(coordinator, e.Joined(join(member.index, member.incarnation, attempt=member.known)), link)
        elif coordinator.members.get(member.index) is link:
            self.tell(coordinator, message)

    def coordinator_loses(self, link: Link) -> None:
        """A member's connection is gone."""
        coordinator, member = link.coordinator, link.member
        if coordinator.members.get(member.index) is link:
            del coordinator.members[member.index]
            self.tell(coordinator, e.Lost(member.index, member.incarnation))

    # ------------------------------------------------------------ members
    def dial(self, member: Agent) -> None:
        """A member looks for the coordinator by name, again and again."""
        if not member.alive or member.link is not None or self.outcome is not None:
            return
        coordinator = self.newest(0)
        if coordinator is None or not self.reach(member, coordinator):
            self.later(REDIAL, lambda: self.dial(member))
            return
        member.link = Link(coordinator, member, to_coordinator=["join"])
        self.links.append(member.link)

    def member_hears(self, link: Link, message: Any) -> None:
        """A coordinator has said something."""
        member = link.member
        if message == "refused":
            self.kill(member)
            return
        what, number = message
        if what == "launch":
            member.known = max(member.known, number)
            member.ranks = number
        else:
            self.clear(member, lambda: link.to_coordinator.append(e.MemberClear(number, member.index)))

    def clear(self, agent: Agent, then: Callable[[], None]) -> None:
        """End the ranks of an agent, which takes a moment."""

        def done() -> None:
            if agent.alive:
                agent.ranks = None
                then()

        self.later(CLEARING, done)

    def rank_ends(self, agent: Agent, code: int, *, told: bool = False) -> None:
        """The rank of an agent ends."""
        if agent.ranks is None:
            return
        event = e.RankEnded(agent.ranks, ended(agent.index, code, interrupted=told, step=7))
        if agent.group is not None:
            self.tell(agent, event)
        elif agent.link is not None:
            agent.link.to_coordinator.append(event)


def timer_of(action: e.Action) -> tuple[float, e.Event]:
    """What an action has the clock say, and after how many seconds."""
    match action:
        case e.Settle(number) | e.Interrupt(number):
            return SETTLE_SECONDS, e.Settled(number)
        case e.Wait(wait):
            return REJOIN, e.Waited(wait)
        case e.Doubt(index, wait):
            return MEMBER_LOST, e.Overdue(index, wait)
        case e.Rest(number, seconds):
            return seconds, e.Rested(number)
    raise AssertionError(action)
