"""One worker's part of an attempt: its ranks, and on members the prted between mpirun and them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from dltrain import names
from dltrain.api.channel import RankExit
from dltrain.pulse import Beat
from dltrain_agent.answers import answer, pass_on_signals
from dltrain_agent.causes import SETTLE_SECONDS, is_consequence
from dltrain_agent.launch import launch_environment
from dltrain_agent.memory import oom_kills
from dltrain_agent.mirror import Mirror
from dltrain_agent.nursery import Nursery
from dltrain_agent.output import Output
from dltrain_agent.processes import Exit, Process, Processes, kill, stop
from dltrain_agent.settings import Settings
from dltrain_agent.tails import store_tail
from dltrain_agent.watch import take_pulse, watch

log = logging.getLogger(__name__)
T = TypeVar("T")

RemoteStart = Callable[[str, Sequence[str]], Awaitable[Exit]]
"""Starts prted on a host for a remote-start line of mpirun's; returns how it ended."""
MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
LOG_SECONDS: Final = 5.0
"""How long the agent's end waits for a storage to take logs."""
CAUSES: Final[dict[int, Literal["DataError", "NaN"]]] = {
    names.EXIT_BAD_DATA: "DataError",
    names.EXIT_NOT_A_NUMBER: "NaN",
}
"""What a rank of a pipeline says with its exit code."""


class Worker:
    """Runs what proxies ask for (see proxy.py) while an attempt is under way, and ends all of it."""

    def __init__(self, settings: Settings, processes: Processes, folder: Path, memory: Path) -> None:
        """Nothing runs yet.

        Args:
            settings: the agent's.
            processes: its children.
            folder: for sockets.
            memory: for the ranks' snapshots.
        """
        self._settings, self._processes = settings, processes
        self._attempt: int | None = None
        self._clearing = asyncio.Event()
        self._ranks: dict[int, Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._launchers: list[Process] = []
        self._logs: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self.leaving = False
        """Whether this worker is about to end."""
        self.socket = folder / "proxies"
        self.report_socket = folder / "reports"
        self._memory = memory
        self.storage = Mirror(settings, processes, self.report_socket)
        self._nursery = None if settings.job.spec.command else self._new_nursery()
        self.remote_start: RemoteStart | None = None
        """Set by the coordinator."""
        self.on_rank_exit: Callable[[int, RankExit], None] = lambda _attempt, _ended: None
        """Called with the attempt when a rank has ended."""
        self.before_exit: Callable[[], None] = lambda: None
        """Called when a rank has ended, before its exit is passed on."""

    async def listen(self) -> asyncio.Server:
        """Take proxies' requests from now on; what ranks are forked from gets ready while the group gathers."""
        self.storage.start()
        if self._nursery is not None:
            self._nursery.start()
            patience = self._settings.job.spec.guards.no_progress_seconds
            self._watching = asyncio.create_task(watch(self._ranks, self._memory, patience))
        return await asyncio.start_unix_server(self._serve, self.socket, limit=MAX_REQUEST_BYTES)

    def begin(self, attempt: int) -> None:
        """Let ranks of this attempt be started."""
        self._attempt = attempt
        self._clearing.clear()

    async def launcher(self, command: Sequence[str], name: str) -> tuple[Exit, tuple[str, ...]]:
        """Run mpirun or prted to its end.

        Args:
            command: what to run.
            name: its prefix in the log.

        Returns:
            How it ended, and its last lines of output.
        """
        try:
            process, output = self._start(command, launch_environment(os.environ), f"[{name}]")
        except OSError as error:
            return Exit(code=127), (f"cannot start {command[0]}: {error.strerror}",)
        self._launchers.append(process)
        ended = await process.exited
        self._launchers.remove(process)
        await output.drain()
        return ended, output.tail

    async def clear(self) -> None:
        """End every process of the attempt; returns when none is left and every rank's end was passed on."""
        self._attempt = None
        self._clearing.set()
        grace = 0 if self._nursery else self._settings.stop_grace_seconds  # our ranks have nothing left to save
        await stop(list(self._ranks.values()), grace)
        if self._tasks:
            await asyncio.wait(
                self._tasks
            )  # first the ends are passed on, so that proxies and launchers end by themselves
        await stop(self._launchers, self._settings.stop_grace_seconds)
        for left in self._memory.glob("sm_segment.*"):
            left.unlink(missing_ok=True)  # ranks that were killed have left what they exchanged data in

    async def wind_down(self) -> None:
        """Let every rank keep what it has done and end, within bounds; no attempt begins here any more."""
        self.leaving = True
        self.storage.ending()
        if ranks := self.interrupt():
            await asyncio.wait([rank.exited for rank in ranks], timeout=self._settings.farewell_seconds)

    def interrupt(self) -> list[Process]:
        """Tell the ranks here to keep what they have done and end; which those are."""
        ranks = list(self._ranks.values())
        for rank in ranks:
            rank.signal(signal.SIGTERM)
        return ranks

    async def close(self) -> None:
        """End every process."""
        await self.clear()
        if self._watching is not None:
            self._watching.cancel()
        if self._nursery is not None:
            await self._nursery.close()
        if trouble := await self.store_all(self._settings.sending_seconds):
            log.warning("%s", trouble)
        await self.storage.close()

    async def store_all(self, seconds: float) -> str | None:
        """Have everything of this worker stored; what is wrong, if that cannot be done in time."""
        if self._logs:
            await asyncio.wait(self._logs, timeout=LOG_SECONDS)
        return await self.storage.finish(seconds)

    def _new_nursery(self) -> Nursery:
        environment = {**launch_environment(os.environ), **self._promised(os.environ)}
        return Nursery(self._processes, environment, self._settings.workspace)

    def _start(self, command: Sequence[str], environment: Mapping[str, str], prefix: str) -> tuple[Process, Output]:
        output = Output(prefix)
        try:
            process = self._processes.start(
                command, environment, self._settings.workspace, output.descriptor, output.descriptor
            )
        finally:
            output.started()
        return process, output

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one proxy: run what it stands for and say how that ended."""
        try:
            request = json.loads(await reader.readline())
            if request["kind"] == "daemon":
                await self._run_daemon(request["line"], writer)
                return
            task = asyncio.create_task(self._run_rank(request["environment"], reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await task
        except (ValueError, KeyError, ConnectionError) as error:
            log.warning("a proxy's request failed: %r", error)
        finally:
            writer.close()

    async def _run_rank(
        self, given: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        attempt, rank = self._attempt, int(given["OMPI_COMM_WORLD_RANK"])
        if attempt is None:
            return  # the attempt has ended while Open MPI was still starting it
        await self._warmed_up()
        trouble = await self._until_cleared(self.storage.ready())
        if self._attempt != attempt:
            return
        if trouble is not None:
            await self._refuse(writer, attempt, rank, trouble)
            return
        kills = oom_kills()
        try:
            process, output = await self._start_rank(self._rank_environment(given, attempt, rank), f"[rank {rank}]")
        except OSError as error:
            await self._refuse(writer, attempt, rank, f"cannot start {self._command()[0]}: {error.strerror}")
            return
        self._ranks[rank] = process
        if self._attempt != attempt:  # it has ended in the moment of the start
            await kill([process])
        signals = asyncio.create_task(pass_on_signals(reader, process))
        ended = await process.exited
        beat = take_pulse(self._memory, rank)
        signals.cancel()
        del self._ranks[rank]
        await output.drain()
        self.before_exit()
        killed_for_memory = not process.stopped and oom_kills() > kills
        result = self._exit(rank, ended, output.tail, stopped=process.stopped, out_of_memory=killed_for_memory)
        result = result.model_copy(update=self._known(process, ended, beat))
        self.on_rank_exit(attempt, result)
        self._keep_log(attempt, rank, output.kept)
        if is_consequence(result):  # until Open MPI hears of it, the rank that is the cause may end by itself
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._clearing.wait(), SETTLE_SECONDS)
        await answer(writer, ended)

    async def _refuse(self, writer: asyncio.StreamWriter, attempt: int, rank: int, message: str) -> None:
        """Say that a rank cannot be started."""
        log.error("rank %d: %s", rank, message)
        self.on_rank_exit(attempt, self._exit(rank, Exit(code=127), (message,)))
        await answer(writer, Exit(code=127))

    async def _warmed_up(self) -> None:
        """Wait until ranks can be forked, if they are, or the attempt has ended."""
        if self._nursery is not None:
            await self._until_cleared(self._nursery.ready())

    async def _until_cleared(self, work: Coroutine[None, None, T]) -> T | None:
        """What something comes to; None once the attempt has ended."""
        task, cleared = asyncio.create_task(work), asyncio.create_task(self._clearing.wait())
        await asyncio.wait([task, cleared], return_when=asyncio.FIRST_COMPLETED)
        cleared.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    async def _start_rank(self, environment: Mapping[str, str], prefix: str) -> tuple[Process, Output]:
        """Start a rank: forked, or cold where that cannot be.

        Raises:
            OSError: its program cannot be started.
        """
        if self._nursery is not None and await self._nursery.ready():
            output = Output(prefix)
            process = await self._nursery.fork(environment, output.descriptor)
            output.started()
            if process is not None:
                return process, output
            await output.drain()
        return self._start(self._command(), environment, prefix)

    async def _run_daemon(self, line: Sequence[str], writer: asyncio.StreamWriter) -> None:
        host, *words = line
        await answer(writer, await self.remote_start(host, words) if self.remote_start else Exit(code=1))

    def _exit(
        self, rank: int, ended: Exit, tail: tuple[str, ...], *, stopped: bool = False, out_of_memory: bool = False
    ) -> RankExit:
        return RankExit(
            rank=rank,
            pod=self._settings.pod,
            node=self._settings.node,
            exit_code=ended.code,
            signal=ended.signal_name,
            stopped=stopped,
            interrupted=ended.code == names.EXIT_TOLD_TO_END and not self._settings.job.spec.command,
            out_of_memory=out_of_memory,
            time=time.time(),
            log=tail,
        )

    def _known(self, process: Process, ended: Exit, beat: Beat | None) -> dict[str, Any]:
        """What is known of why a rank of a pipeline ended, and at which step."""
        if self._settings.job.spec.command:
            return {}
        cause = "Hang" if process.hung else CAUSES.get(ended.code or 0)
        return {"cause": cause, "step": beat.step if beat else 0, "stopped": process.stopped and not process.hung}

    def _keep_log(self, attempt: int, rank: int, lines: Sequence[str]) -> None:
        """Keep the last lines of a rank with the artefacts, without waiting for the storage."""
        work = asyncio.to_thread(store_tail, self._settings.output, attempt, rank, lines)
        task = asyncio.create_task(work)
        self._logs.add(task)
        task.add_done_callback(self._logs.discard)

    def _command(self) -> Sequence[str]:
        return self._settings.job.spec.command or (sys.executable, "-m", "dltrain_trainer")

    def _rank_environment(self, given: Mapping[str, str], attempt: int, rank: int) -> dict[str, str]:
        """What Open MPI sets, and what docs/architecture.md promises to a rank."""
        own = {names.ATTEMPT_VARIABLE: str(attempt), names.RANK_VARIABLE: str(rank)}
        return {**given, **self._promised(given), **own}

    def _promised(self, given: Mapping[str, str]) -> dict[str, str]:
        """What every rank of this worker is promised."""
        return {
            names.JOB_FILE_VARIABLE: str(self._settings.job_file),
            names.OUTPUT_VARIABLE: str(self._settings.output),
            names.REPORT_VARIABLE: str(self.report_socket),
            names.SNAPSHOT_VARIABLE: str(self._memory),
            "OMPI_MCA_btl_sm_backing_directory": str(self._memory),
            "OMP_NUM_THREADS": str(self._settings.job.spec.workers.threads_per_rank),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', os.defpath)}",  # `python` is ours
            "PYTHONUNBUFFERED": "1",  # a rank's lines appear when it prints them
        }
