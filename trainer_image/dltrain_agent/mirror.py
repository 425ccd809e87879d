"""The agent's side of the process that sends a job's folder to its bucket (see dltrain_agent/storage)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dltrain import names
from dltrain_agent.output import Output
from dltrain_agent.processes import Exit, Processes, stop
from dltrain_agent.settings import Settings

log = logging.getLogger(__name__)
COMMAND: Final = (sys.executable, "-m", "dltrain_agent.storage")
FENCED: Final = 5
"""The exit code of one that has found a newer pod in its place."""
AGAIN_SECONDS: Final = 1.0
MAX_WORD_BYTES: Final = 64


class Mirror:
    """Starts that process, again where it is killed, and tells it what to do; without a bucket it does nothing."""

    def __init__(self, settings: Settings, processes: Processes, reports: Path) -> None:
        """Nothing is started yet.

        Args:
            settings: the agent's.
            processes: its children.
            reports: the socket that is told of checkpoints.
        """
        self._settings, self._processes, self._reports = settings, processes, reports
        storage = settings.job.spec.storage
        self._needed = storage is not None and storage.uri is not None and not settings.local
        self._socket: socket.socket | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._finishing = False
        self._given_up = False
        """Whether that was waited for once, in vain."""

    def start(self) -> None:
        """Begin."""
        if self._needed:
            self._keeping = asyncio.create_task(self._keep())

    async def ready(self) -> str | None:
        """Wait until ranks may start; what is wrong, if they may not."""
        return await asyncio.shield(self._ready) if self._needed else None

    def ending(self) -> None:
        """This pod was told to end: a successor may wait for what it still has to send."""
        self._tell(b"ending")

    async def finish(self, seconds: float) -> str | None:
        """Have everything sent, and end; what is wrong, if that cannot be done in time, and was not said before.

        Args:
            seconds: how long it may take.
        """
        if self._keeping is None or self._given_up:
            return None
        self._finishing = True
        self._tell(b"finish")
        try:
            return await asyncio.wait_for(asyncio.shield(self._ended), seconds)
        except TimeoutError:
            self._given_up = True
            return f"{address_in(self._settings)}: not everything could be sent within {seconds:g} s; see the pod's log"

    async def close(self) -> None:
        """End the process, whatever it does."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self) -> None:
        """Have the process run until it has finished, or can do nothing."""
        while True:
            try:
                ended, said = await self._run()
            except OSError as error:  # no room for one more process, say
                log.warning("what sends to %s cannot be started: %s", address_in(self._settings), error)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if self._is_final(ended):
                trouble = None if ended.clean else said or f"what sends to {address_in(self._settings)} ended: {ended}"
                settle(self._ready, trouble)
                settle(self._ended, trouble)
                return
            log.warning("what sends to %s ended: %s; started again", address_in(self._settings), ended)
            await asyncio.sleep(AGAIN_SECONDS)

    def _is_final(self, ended: Exit) -> bool:
        """Whether the process ended as it wanted to, or for good; once it is ready it never gives up by itself."""
        return ended.code in {0, FENCED} or (ended.code == 1 and (self._finishing or not self._ready.done()))

    async def _run(self) -> tuple[Exit, str]:
        """Run the process once; how it ended, and its last line.

        Raises:
            OSError: it cannot be started.
        """
        mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        output = Output("[storage]")
        environment = {**os.environ, names.REPORT_VARIABLE: str(self._reports)}
        command = [*COMMAND, *arguments(self._settings, restored=self._ready.done())]
        with mine:
            try:
                with other:
                    descriptor = output.descriptor
                    process = self._processes.start(
                        command, environment, self._settings.workspace, descriptor, descriptor, other.fileno()
                    )
            finally:
                output.started()
            self._socket = mine
            if self._finishing:
                self._tell(b"finish")
            hearing = asyncio.create_task(self._hear(mine))
            try:
                ended = await asyncio.shield(process.exited)
            finally:
                self._socket = None
                hearing.cancel()
                await stop([process], 0)
                await output.drain()
        return ended, (output.tail or ("",))[-1]

    async def _hear(self, mine: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has ended, and did not read what it was told
            if await asyncio.get_running_loop().sock_recv(mine, MAX_WORD_BYTES) == b"ready":
                settle(self._ready, None)

    def _tell(self, word: bytes) -> None:
        if self._socket is not None:
            try:
                self._socket.send(word)
            except OSError as error:
                log.warning("what sends to the bucket does not listen: %s", error)


def settle(future: asyncio.Future[str | None], value: str | None) -> None:
    """Answer those who wait, once."""
    if not future.done():
        future.set_result(value)


def address_in(settings: Settings) -> str:
    """The job's folder in its bucket."""
    job = settings.job
    assert job.spec.storage is not None, "there is a bucket"
    return f"{job.spec.storage.uri}/{names.output_folder(job.name, job.metadata.uid)}"


def arguments(settings: Settings, *, restored: bool) -> list[str]:
    """What the process is told.

    Args:
        settings: the agent's.
        restored: whether it was ready before, so that ranks may write by now, and nothing is to be brought back.
    """
    spec, first = settings.job.spec, settings.index == 0
    assert spec.storage is not None, "there is a bucket"
    flags: dict[str, Callable[[], bool]] = {
        "--new": lambda: settings.incarnation == 1 and settings.past_attempts == 0,
        "--restore": lambda: not restored and (first or spec.command is not None),
    }
    return [
        *("--folder", str(settings.output), "--address", address_in(settings), "--keep", str(spec.checkpoint.keep)),
        *("--settings", spec.storage.bucket.model_dump_json(by_alias=True, exclude_none=True)),
        *(("--incarnation", str(settings.incarnation)) if first else ()),
        *(flag for flag, wanted in flags.items() if wanted()),
    ]
