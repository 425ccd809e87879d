"""The agent of any worker but the first: dials the coordinator and does its part of each attempt."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from typing import Final

from dltrain import names
from dltrain.api.channel import (
    AttemptEnded,
    DaemonExited,
    EndAttempt,
    Finish,
    Join,
    Launch,
    RankExit,
    RankExited,
    Refused,
    Welcome,
)
from dltrain.channel import Channel, open_channel
from dltrain.errors import ChannelError
from dltrain.heartbeat import heartbeats
from dltrain_agent.launch import RefusedLineError, prted_command
from dltrain_agent.preflight import look
from dltrain_agent.processes import Exit
from dltrain_agent.settings import Settings
from dltrain_agent.worker import Worker

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to reach the coordinator."""
PAUSE_GROWTH: Final = 1.5
EXIT_REFUSED: Final = 1


class Member:
    """Keeps a connection to the coordinator for as long as the job lives."""

    def __init__(self, settings: Settings, worker: Worker, context: ssl.SSLContext) -> None:
        self._settings, self._worker, self._context = settings, worker, context
        self._channel: Channel | None = None
        self._attempt, self._ended = settings.past_attempts, 0
        self._user_restarts = settings.user_restarts
        self._tasks: set[asyncio.Task[None]] = set()
        worker.on_rank_exit = self.rank_exited

    async def run(self) -> int:
        """Serve until the coordinator says that the job has ended; returns the exit code."""
        pause = FIRST_PAUSE
        while True:
            try:
                channel = await open_channel(self._settings.coordinator_address, names.CONTROL_PORT, self._context)
            except ChannelError as error:
                log.debug("%s", error)
                await asyncio.sleep(pause)
                pause = min(PAUSE_GROWTH * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            try:
                async with heartbeats(channel):
                    return await self._serve(channel)
            except ChannelError as error:
                log.warning("lost the coordinator: %s", error)
            finally:
                self._channel = None
                await (
                    self._worker.clear()
                )  # without a coordinator no rank may live: it starts the next attempt elsewhere
            await asyncio.sleep(pause)

    def rank_exited(self, attempt: int, ended: RankExit) -> None:
        """Tell the coordinator that a rank has ended."""
        self._tell(RankExited(attempt=attempt, exit=ended))

    async def _serve(self, channel: Channel) -> int:
        """Do what the coordinator says; returns the exit code once the job has ended.

        Raises:
            ChannelError: the connection is lost.
        """
        await channel.send(await self._join())
        async for message in channel:
            match message:
                case Welcome():
                    self._channel = channel
                    log.info("joined the group of %s", self._settings.job.name)
                case Refused(reason=reason):
                    log.error("the coordinator refused this worker: %s", reason)
                    return EXIT_REFUSED
                case Launch():
                    self._spawn(self._launch(message))
                case EndAttempt(attempt=attempt):
                    self._ended = max(self._ended, attempt)
                    self._spawn(self._end(attempt))
                case Finish(exit_code=exit_code):
                    return exit_code
                case _:
                    raise ChannelError(f"{channel.peer}: sent {message.type}, which is not for members")
        raise AssertionError("a channel ends by raising ChannelError")

    async def _join(self) -> Join:
        settings, spec = self._settings, self._settings.job.spec
        looks = spec.guards.preflight and not self._attempt  # a restart is not held up by it
        stored = spec.storage is not None
        return Join(
            facts=await look(settings.output, settings.slots, stored=stored) if looks else None,
            index=self._settings.index,
            incarnation=self._settings.incarnation,
            slots=self._settings.slots,
            pod=self._settings.pod,
            node=self._settings.node,
            attempt=max(self._attempt, self._ended),  # of one that has ended, nothing more would be started here
            user_restarts=self._user_restarts,
        )

    async def _launch(self, launch: Launch) -> None:
        """Run prted for the attempt under way; an attempt that has ended starts nothing any more."""
        if launch.attempt <= self._ended:
            return
        self._attempt = max(self._attempt, launch.attempt)
        self._user_restarts = max(self._user_restarts, launch.user_restarts)
        self._worker.begin(launch.attempt)
        try:
            command = prted_command(launch.line)
        except RefusedLineError as error:
            log.error("refused to launch: %s", error)  # noqa: TRY400 - the message is all there is
            ended = Exit(code=126)
        else:
            ended, _ = await self._worker.launcher(command, "prted")
        self._tell(DaemonExited(attempt=launch.attempt, exit_code=1 if ended.code is None else ended.code))

    async def _end(self, attempt: int) -> None:
        await self._worker.clear()
        self._tell(AttemptEnded(attempt=attempt))

    def _tell(self, message: RankExited | DaemonExited | AttemptEnded) -> None:
        """Send to the coordinator, in order; what a lost one does not hear its successor does not need."""
        if self._channel is not None:
            self._channel.post(message)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
