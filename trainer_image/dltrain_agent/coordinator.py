"""The agent of worker 0: carries out what the group's state machine decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Final

from dltrain import names
from dltrain.api.channel import (
    AttemptEnded,
    DaemonExited,
    EndAttempt,
    Finish,
    GroupStatus,
    Join,
    Launch,
    Message,
    Observe,
    RankExit,
    RankExited,
    Refused,
    Welcome,
)
from dltrain.api.report import Report
from dltrain.channel import Channel
from dltrain.errors import ChannelError
from dltrain.heartbeat import heartbeats
from dltrain_agent import events as e
from dltrain_agent import group as g
from dltrain_agent.board import StatusBoard
from dltrain_agent.causes import SETTLE_SECONDS
from dltrain_agent.inspection import Inspection
from dltrain_agent.launch import TCP_FABRIC, mpirun_command
from dltrain_agent.processes import Exit
from dltrain_agent.reports import Reported, fold
from dltrain_agent.settings import Settings
from dltrain_agent.state import first_group
from dltrain_agent.summary import address_of, group_status, is_unsent
from dltrain_agent.worker import Worker

log = logging.getLogger(__name__)

FAREWELL_SECONDS: Final = 2.0
"""How long the end of the job waits for members and observers to hear of it."""
LOST_DAEMON: Final = Exit(code=1)
GATHER_SECONDS: Final = 2.0
"""How long an attempt goes on that makes room for another one, for more members to come."""
INTERRUPT_SECONDS: Final = 20.0
"""How long its ranks may take to keep what they have done."""
LATE_STAGES: Final = frozenset({"compress", "evaluate", "export"})
"""Stages that another number of workers does not interrupt: they would begin anew."""


class Coordinator:
    """Feeds events to the group and does its actions: one event at a time, in the order they came."""

    def __init__(self, settings: Settings, worker: Worker) -> None:
        self._settings, self._worker = settings, worker
        self._events: asyncio.Queue[tuple[e.Event, Channel | None]] = asyncio.Queue()
        self._members: dict[int, Channel] = {}
        self._daemons: dict[int, tuple[int, asyncio.Future[Exit]]] = {}
        self._heard: dict[int, float] = {}
        self._inspection = Inspection(settings)
        self._reported = Reported()
        self._tasks: set[asyncio.Task[None]] = set()
        self._followers: set[asyncio.Task[None]] = set()
        self._group = first_group(settings)
        self.board = StatusBoard()
        worker.remote_start, worker.on_rank_exit = self._remote_start, self.rank_exited

    @property
    def status(self) -> GroupStatus:
        """What is known of the job now."""
        return group_status(self._group, self._reported, self._inspection.problems)

    async def run(self) -> int:
        """Run the job to its end; returns the exit code."""
        if not self._group.number:
            await self._inspection.begin()
        self._group, actions = g.begin(self._group)
        channel: Channel | None = None
        while True:
            self.board.post(self.status)
            for action in actions:
                if isinstance(action, e.FinishJob):
                    await self._farewell(action.exit_code)
                    return action.exit_code
                self._act(action, channel)
            event, channel = await self._events.get()
            if isinstance(event, e.Lost) and not self._has_left(event.index, channel):
                actions = ()
                continue
            self._group, actions = g.step(self._group, event)
            if self._group.state == "succeeded" and (trouble := await self._worker.store_all(self._storing_seconds)):
                self._group, actions = g.not_stored(self._group, trouble)

    @property
    def _storing_seconds(self) -> float:
        """Seconds that the end of a job that went well waits for its bucket."""
        storage = self._settings.job.spec.storage
        return storage.bucket.finish_seconds if storage else 0.0

    def rank_exited(self, attempt: int, ended: RankExit) -> None:
        """A rank of this worker has ended."""
        self._put(e.RankEnded(attempt, ended))

    def reported(self, report: Report, now: datetime) -> None:
        """A rank of this worker reports."""
        job, local = self._settings.job, self._settings.local
        if is_unsent(report, job, local=local):
            return
        self._reported = fold(self._reported, report, now, lambda path: address_of(path, job, local=local))
        self.board.post(self.status)

    def follow(self, work: Coroutine[None, None, None]) -> None:
        """Run something that follows the board; the job's end waits for it, though not for long."""
        self._spawn(work, self._followers)

    # ------------------------------------------------------------ peers
    async def serve(self, channel: Channel) -> None:
        """Serve a member or an observer until it goes.

        Raises:
            ChannelError: it went, or broke the protocol.
        """
        async with heartbeats(channel):
            first = await anext(channel)
            if isinstance(first, Join) and channel.role == "worker":
                await self._serve_member(channel, first)
            elif isinstance(first, Observe):
                await self._serve_observer(channel, first)
            else:
                raise ChannelError(f"{channel.peer}: a {channel.role or 'stranger'} may not send {first.type}")

    async def _serve_member(self, channel: Channel, join: Join) -> None:
        if not self._group.number:
            await self._inspection.compare(channel.peer, join)
        self._put(e.Joined(join), channel)
        try:
            async for message in channel:
                self._hear(channel, join.index, message)
        finally:
            self._put(e.Lost(join.index, join.incarnation), channel)  # after its Joined, which may wait there yet

    async def _serve_observer(self, channel: Channel, first: Observe) -> None:
        if first.replicas is not None:
            self._put(e.Resized(first.replicas))

        async def publish() -> None:
            with contextlib.suppress(ChannelError):  # who reads the channel says why
                async for status in self.board.follow():
                    await channel.send(status)
            channel.close()

        self.follow(publish())
        async for message in channel:
            raise ChannelError(f"{channel.peer}: an observer may not send {message.type}")

    def _hear(self, channel: Channel, index: int, message: Message) -> None:
        """Turn a member's message into an event.

        Raises:
            ChannelError: it is not a member's message.
        """
        match message:
            case RankExited(attempt=attempt, exit=ended):
                self._put(e.RankEnded(attempt, ended))
            case AttemptEnded(attempt=attempt):
                self._put(e.MemberClear(attempt, index))
            case DaemonExited(attempt=attempt, exit_code=code):
                if self._daemons.get(index, (None,))[0] == attempt:  # a late word must not end the next attempt's
                    self._daemon_ended(index, Exit(code=code))
            case _:
                raise ChannelError(f"{channel.peer}: a member may not send {message.type}")

    # ------------------------------------------------------------ actions
    def _act(self, action: e.Action, channel: Channel | None) -> None:
        match action:
            case e.Admit(index) if channel is not None:
                self._forget(index)
                self._members[index] = channel
                channel.post(Welcome())
                log.info("worker %d joined from %s", index, channel.peer)
            case e.Refuse(reason) if channel is not None:
                log.warning("refused %s: %s", channel.peer, reason)
                channel.post(Refused(reason=reason))
                channel.close()
            case e.StartAttempt(number):
                self._start(number)
            case e.StopAttempt(number):
                for member in self._members.values():
                    member.post(EndAttempt(attempt=number))
                self._spawn(self._clear(number), self._tasks)
            case e.Interrupt(number):
                self._spawn(self._interrupt(number), self._tasks)
            case e.Settle() | e.Wait() | e.Doubt() | e.Rest():
                self._set_timer(action)

    def _start(self, number: int) -> None:
        if self._worker.leaving:
            log.info("no further attempt starts here: this worker ends")
            return
        workers = len(self._group.attempt.workers)
        log.info("attempt %d: %d ranks on %d workers", number, workers * self._settings.slots, workers)
        self._worker.begin(number)
        self._spawn(self._launch(number), self._tasks)

    def _set_timer(self, action: e.Settle | e.Wait | e.Doubt | e.Rest) -> None:
        match action:
            case e.Settle(number):
                self._put_later(SETTLE_SECONDS, e.Settled(number))
            case e.Wait(wait):
                elastic = self._settings.job.spec.elastic
                self._put_later(elastic.rejoin_timeout_seconds if elastic else 0, e.Waited(wait))
            case e.Doubt(index, wait):
                self._put_later(self._patience(index), e.Overdue(index, wait))
            case e.Rest(after, seconds):
                log.info("data was away: the next attempt starts in %g s", seconds)
                self._put_later(seconds, e.Rested(after))

    def _patience(self, index: int) -> float:
        """Seconds for which a missing member may still be silent."""
        now = asyncio.get_running_loop().time()
        return self._heard.get(index, now) + self._settings.job.spec.guards.member_lost_seconds - now

    async def _interrupt(self, number: int) -> None:
        """Have the attempt end so that no work is lost: the ranks here are told to end, and tell all others."""
        await asyncio.sleep(GATHER_SECONDS)
        progress = self._reported.progress
        if progress is not None and progress.stage in LATE_STAGES:
            log.info("the number of workers changes after %s", progress.stage)
            self._put(e.Spared(number))
            return
        if self._group.number == number and not self._settings.job.spec.command:
            self._worker.interrupt()
            await asyncio.sleep(INTERRUPT_SECONDS)
        self._put(e.Settled(number))

    async def _launch(self, number: int) -> None:
        hosts = [names.worker_host(self._settings.job.name, index) for index in self._group.attempt.workers]
        if self._settings.local:
            hosts = ["localhost"]
        command = mpirun_command(hosts, self._settings.slots, self._worker.socket, fabric=TCP_FABRIC)
        ended, tail = await self._worker.launcher(command, "mpirun")
        self._put(e.LauncherEnded(number, str(ended), tail))

    async def _clear(self, number: int) -> None:
        await self._worker.clear()
        self._put(e.MemberClear(number, 0))

    async def _remote_start(self, host: str, line: Sequence[str]) -> Exit:
        """The remote shell of mpirun: have the member of that host start prted, and wait for its end."""
        index = int(host.rsplit("-", 1)[1])
        member = self._members.get(index)
        if member is None:
            return LOST_DAEMON
        self._daemon_ended(index, LOST_DAEMON)  # of an earlier attempt, if it has said nothing
        ended: asyncio.Future[Exit] = asyncio.Future()
        group = self._group
        self._daemons[index] = group.number, ended
        member.post(Launch(attempt=group.number, user_restarts=group.user_restarts, line=" ".join(line)))
        return await ended

    def _has_left(self, index: int, channel: Channel | None) -> bool:
        """Whether a connection that is gone was a member's newest one; then it is dropped."""
        if channel is None or self._members.get(index) is not channel:
            return False
        self._heard[index] = channel.heard_at
        self._forget(index)
        return True

    def _forget(self, index: int) -> None:
        """Drop a member's connection, if there is one."""
        if channel := self._members.pop(index, None):
            channel.close()
        self._daemon_ended(index, LOST_DAEMON)

    def _daemon_ended(self, index: int, ended: Exit) -> None:
        _, future = self._daemons.pop(index, (0, None))
        if future is not None and not future.done():
            future.set_result(ended)

    async def _farewell(self, exit_code: int) -> None:
        """Tell members and observers that the job has ended."""
        log.info("the job has %s", self._group.state)
        for member in self._members.values():
            member.post(Finish(exit_code=exit_code))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                farewells = (member.drained() for member in self._members.values())
                await asyncio.gather(*farewells, return_exceptions=True)  # one that is gone does not hear it
                if self._followers:
                    await asyncio.wait(self._followers)

    def _put(self, event: e.Event, channel: Channel | None = None) -> None:
        self._events.put_nowait((event, channel))

    def _put_later(self, seconds: float, event: e.Event) -> None:
        asyncio.get_running_loop().call_later(seconds, self._put, event)

    @staticmethod
    def _spawn(work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
