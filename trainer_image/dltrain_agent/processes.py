"""The agent's child processes: started in groups of their own, reaped, stopped for certain."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER: Final = 36
"""prctl(2): orphans below this process become its children, as they do below PID 1."""

KILLED_SECONDS: Final = 60.0
"""How long a process may be there after SIGKILL; one that still is waits for something in the kernel."""
EXIT_STUCK: Final = 1
"""The exit code of an agent that cannot end its processes."""
ENDING_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL})


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: with a code or by a signal."""

    code: int | None = None
    signal: int | None = None

    @property
    def clean(self) -> bool:
        """Whether it exited with 0."""
        return self.code == 0

    @property
    def signal_name(self) -> str | None:
        """The signal's name, as in SIGKILL."""
        return name_of(self.signal) if self.signal else None

    def __str__(self) -> str:
        return f"exit code {self.code}" if self.signal is None else str(self.signal_name)


def name_of(number: int) -> str:
    """A signal's name; of those for real time, which have none, as `kill -l` has it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN{number - signal.SIGRTMIN:+}"


@dataclass(eq=False, slots=True)
class Process:
    """One child; the leader of a process group of its own."""

    pid: int
    exited: asyncio.Future[Exit]
    stopped: bool = field(default=False)
    """Whether the agent has told it to end."""
    hung: bool = field(default=False)
    """Whether it was ended because it stood still."""

    def signal(self, number: int) -> None:
        """Send a signal to the process and all in its group; nothing if it has ended."""
        if not self.exited.done():
            self.stopped |= number in ENDING_SIGNALS
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Processes:
    """All children of this process; nobody else here may wait for a child."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._children: dict[int, tuple[Process, subprocess.Popen[bytes] | None]] = {}
        adopt_orphans()
        self._loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def start(  # noqa: PLR0913, PLR0917 - what a process is given
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        stdout: int,
        stderr: int,
        stdin: int = subprocess.DEVNULL,
    ) -> Process:
        """Start a child with its output going to the given descriptors and, by default, no input.

        Raises:
            OSError: the program cannot be started.
        """
        child = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        process = Process(child.pid, self._loop.create_future())
        self._children[child.pid] = process, child
        return process

    def adopt(self, pid: int) -> Process:
        """Take charge of an orphan that has become a child of this process, and is to lead a group of its own.

        Raises:
            ChildProcessError: it has ended and was collected already.
        """
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        process = Process(pid, self._loop.create_future())
        self._children[pid] = process, None
        return process

    def reap(self) -> None:
        """Collect every child that has ended, adopted orphans included."""
        while pid := ended_child():
            process, child = self._children.pop(pid, (None, None))
            if process is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # the number is ours for as long as the child is not collected
            status = os.waitpid(pid, 0)[1]
            if child is not None:
                child.returncode = os.waitstatus_to_exitcode(status)
            if process is not None:
                process.exited.set_result(exit_of(status))

    def close(self) -> None:
        """Stop collecting children."""
        self._loop.remove_signal_handler(signal.SIGCHLD)


def ended_child() -> int | None:
    """The process id of a child that has ended and was not collected yet."""
    try:
        result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return result.si_pid if result else None


def exit_of(status: int) -> Exit:
    """How a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        return Exit(signal=os.WTERMSIG(status))
    return Exit(code=os.waitstatus_to_exitcode(status))


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that each can be reaped, where this process is not PID 1."""
    if os.getpid() != 1:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


async def stop(processes: Sequence[Process], grace: float) -> None:
    """End processes: SIGTERM, and SIGKILL for those that are still there after a grace period.

    Args:
        processes: what to end, with their groups.
        grace: seconds between the two signals.
    """
    for process in processes:
        process.signal(signal.SIGTERM)
    waiting = [process.exited for process in processes if not process.exited.done()]
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=grace)
        if late:
            await kill(processes)


async def kill(processes: Sequence[Process]) -> None:
    """Kill processes; where the kernel does not let one end, this agent does: its worker is lost, not stuck for ever.

    Args:
        processes: what to end, with their groups.
    """
    for process in processes:
        process.signal(signal.SIGKILL)
    waiting = [process.exited for process in processes if not process.exited.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=KILLED_SECONDS)
    if left := [process.pid for process in processes if not process.exited.done()]:
        log.critical("still there %g s after SIGKILL: %s; is a storage stuck? this agent ends", KILLED_SECONDS, left)
        os._exit(EXIT_STUCK)  # whoever waits for them would keep any other end from coming
