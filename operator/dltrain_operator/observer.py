"""Listening to the coordinators of running jobs."""

from __future__ import annotations

import asyncio
import logging
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable
from typing import Final

from dltrain.api.channel import GroupStatus, Observe
from dltrain.channel import open_channel
from dltrain.errors import ChannelError
from dltrain.heartbeat import heartbeats
from dltrain.names import CONTROL_PORT
from dltrain_operator.actions import Target
from dltrain_operator.identity import OBSERVER_LIFE, observer_context
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.records import JobKey

log = logging.getLogger(__name__)

SHORTEST_DELAY: Final = 0.1
"""Seconds before a coordinator that does not answer is dialled again."""
LONGEST_DELAY: Final = 30.0
PATIENCE: Final = 0.1
"""The delay grows with the silence: it is this share of it."""
CONTEXT_LIFE: Final = OBSERVER_LIFE.total_seconds() / 2
"""Seconds for which an observer's certificate is used for new connections."""

TLS_BUFFER_BYTES: Final = 32 * 1024
"""Twice what one TLS record can hold."""

Report = Callable[[JobKey, Target, GroupStatus | None], None]
"""Takes what that coordinator of a job has said; None if it cannot be reached."""


def use_small_tls_buffers() -> None:
    """Let TLS connections of this process cost little memory: asyncio sets 256 KiB aside for each, for good."""
    SSLProtocol.max_size = TLS_BUFFER_BYTES


class Observers:
    """Keeps one connection to the coordinator of each running job."""

    def __init__(self, keys: MasterKeys, report: Report, port: int = CONTROL_PORT) -> None:
        self._keys, self._report, self._port = keys, report, port
        self._tasks: dict[JobKey, tuple[Target, asyncio.Task[None]]] = {}

    def follow(self, job: JobKey, target: Target | None) -> None:
        """Listen to this coordinator from now on, and to no other of this job; to nobody if it is None."""
        known, task = self._tasks.get(job, (None, None))
        if known == target:
            return
        if task is not None:
            task.cancel()
            del self._tasks[job]
        if target is not None:
            self._tasks[job] = target, asyncio.create_task(self._listen(job, target))

    def stop(self) -> None:
        """Listen to nobody."""
        for job in list(self._tasks):
            self.follow(job, None)

    async def _listen(self, job: JobKey, target: Target) -> None:
        """Dial, listen until the connection ends, and begin again."""
        key = self._keys.versions.get(target.key_version)
        if key is None:
            log.warning("%s/%s: version %s of the master key is gone: no progress", *job, target.key_version)
            return
        line = Line(key, target)
        while True:
            try:
                async for status in statuses(target, self._port, line.context()):
                    line.heard()
                    self._report(job, target, status)
            except (ChannelError, OSError) as error:  # the latter without files or connections to spare
                self._report(job, target, None)
                log.log(line.log_level, "%s/%s: %s; will dial again", *job, error)
            await asyncio.sleep(line.delay())


class Line:
    """What is kept from one connection to a coordinator for the next."""

    def __init__(self, master_key: bytes, target: Target) -> None:
        self._master_key, self._target = master_key, target
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._context: ssl.SSLContext | None = None
        self._made_at = 0.0
        self.log_level = logging.INFO
        """Of the next failure: only the first in a row is worth a line."""

    def context(self) -> ssl.SSLContext:
        """TLS for the next connection."""
        if self._context is None or self._loop.time() - self._made_at > CONTEXT_LIFE:
            self._context = observer_context(self._master_key, self._target.job)
            self._made_at = self._loop.time()
        return self._context

    def heard(self) -> None:
        """The coordinator has said something."""
        self._heard_at, self.log_level = self._loop.time(), logging.INFO

    def delay(self) -> float:
        """Seconds to wait before dialling again."""
        self.log_level = logging.DEBUG
        silence = self._loop.time() - self._heard_at
        return min(max(SHORTEST_DELAY, PATIENCE * silence), LONGEST_DELAY)


async def statuses(target: Target, port: int, context: ssl.SSLContext) -> AsyncIterator[GroupStatus]:
    """What a coordinator says.

    Raises:
        ChannelError: it cannot be reached, or the connection has ended.
    """
    channel = await open_channel(target.address, port, context)
    async with heartbeats(channel):
        await channel.send(Observe(replicas=target.replicas))
        async for message in channel:
            if isinstance(message, GroupStatus):
                yield message
