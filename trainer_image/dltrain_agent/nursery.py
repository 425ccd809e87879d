"""A process with all imports done, from which the ranks of pipeline jobs are forked.

    absent --start--> importing --"ready"--> ready --fork, fork ...
                          |                    |
                          | ends, or is late   | ends (killed for memory, say)
                          v                    v
                       given up              absent, and started again when a rank is wanted

A rank is started cold whenever none can be forked: nothing depends on this process but the time that a start takes.
It belongs to the agent, not to an attempt; ranks are no children of it (see dltrain_trainer/warm.py) and outlive it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dltrain_agent.processes import Process, Processes, stop

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "dltrain_trainer.warm")
READY: Final = b"ready"
READY_SECONDS: Final = 180.0
"""The longest that the imports may take."""
FORK_SECONDS: Final = 10.0
MAX_ANSWER_BYTES: Final = 64


class Nursery:
    """Starts ranks without their imports."""

    def __init__(self, processes: Processes, environment: Mapping[str, str], folder: Path) -> None:
        """Nothing is started yet.

        Args:
            processes: takes charge of the ranks.
            environment: what ranks are started with, but for what is each rank's own.
            folder: the ranks' working directory.
        """
        self._processes, self._environment, self._folder = processes, environment, folder
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = asyncio.Lock()
        self._process: Process | None = None
        self._socket: socket.socket | None = None
        self._ready: asyncio.Task[bool] | None = None
        self._given_up = False

    def start(self) -> None:
        """Begin to import."""
        self._release()
        mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        try:
            with other:
                self._process = self._processes.start(COMMAND, self._environment, self._folder, 1, 2, other.fileno())
        except OSError as error:
            log.warning("ranks are started cold: %s", error)
            mine.close()
            self._given_up = True
            return
        self._socket = mine
        self._ready = asyncio.create_task(self._await_ready(mine))

    async def ready(self) -> bool:
        """Whether ranks can be forked, once that is known; starts the process again if it has ended since."""
        if self._given_up:
            return False
        if self._process is None or self._process.exited.done():
            self.start()
        return self._ready is not None and await asyncio.shield(self._ready)

    async def fork(self, environment: Mapping[str, str], output: int) -> Process | None:
        """Fork a rank, which runs as soon as this returns.

        Args:
            environment: the rank's.
            output: the descriptor of its standard output and error.

        Returns:
            The rank; None if it has to be started cold.
        """
        async with self._one_at_a_time:
            held, go = os.pipe2(os.O_CLOEXEC)
            try:
                answer = await self._ask(json.dumps(environment).encode(), [output, held])
                process = self._processes.adopt(int(answer))
                os.write(go, b"!")
            except (OSError, ValueError, TimeoutError) as error:
                log.warning("a rank is started cold: %r", error)
                self._discard()
                return None
            finally:
                os.close(held)
                os.close(go)  # a rank that was forked, but not let go, ends by itself
            return process

    async def close(self) -> None:
        """End the process."""
        self._given_up = True
        if self._ready is not None:
            self._ready.cancel()
        if self._process is not None:
            await stop([self._process], 0)
        self._release()

    async def _await_ready(self, mine: socket.socket) -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS):
                told = await self._loop.sock_recv(mine, MAX_ANSWER_BYTES)
        except (OSError, TimeoutError):
            told = b""
        if told != READY:  # a rank that is started cold will say what is wrong
            log.warning("ranks are started cold: the imports have failed or take too long")
            self._given_up = True
            self._discard()
        return not self._given_up

    async def _ask(self, request: bytes, descriptors: list[int]) -> bytes:
        """The answer to one request.

        Raises:
            OSError: the process has ended, or cannot be reached.
            TimeoutError: it does not answer.
        """
        if self._socket is None:
            raise ConnectionResetError("it has ended")
        socket.send_fds(self._socket, [request], descriptors)
        async with asyncio.timeout(FORK_SECONDS):
            return await self._loop.sock_recv(self._socket, MAX_ANSWER_BYTES)

    def _discard(self) -> None:
        """Have nothing more to do with a process that does not work."""
        if self._process is not None:
            self._process.signal(9)
        self._release()

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
