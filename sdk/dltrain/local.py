"""Running a job on this machine: one agent with every rank, the same trainer, the same artefacts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Final

from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain.software import require

AGENT: Final = (sys.executable, "-m", "dltrain_agent")
STOP_SECONDS: Final = 30.0
"""How long the agent may take to end its ranks before it is killed: longer than its own patience with ranks and logs,
for ranks in sessions of their own outlive an agent that has not ended them."""
NEEDED: Final = ("dltrain_agent", "mpi4py")
NEEDED_BY_PIPELINES: Final = ("dltrain_trainer", "torch", "horovod")


@dataclass(frozen=True, slots=True)
class LocalResult:
    """How a local run ended."""

    succeeded: bool
    status: GroupStatus
    """The last state; its results or its failure say more."""
    output: Path
    """The folder with checkpoints and artefacts."""


def run_local(
    job: DLTrainJob,
    output: Path,
    workspace: Path | None = None,
    on_status: Callable[[GroupStatus], None] = lambda _: None,
    on_line: Callable[[str], None] = print,
) -> LocalResult:
    """Run a job on this machine to its end; a KeyboardInterrupt ends every process of it first.

    Args:
        job: what to run; all its ranks run here.
        output: the folder for checkpoints and artefacts; a job goes on from the checkpoints it finds there.
        workspace: the ranks' working directory; the current one by default.
        on_status: called, from another thread, with each state.
        on_line: called, from another thread, with each line of output.

    Raises:
        MissingSoftwareError: the trainer is not installed here.
        BaseException: the first one that on_status or on_line has raised; it ends the run as a KeyboardInterrupt does.
    """
    check_installed(job)
    output.mkdir(parents=True, exist_ok=True)
    states: list[GroupStatus] = [GroupStatus(state="gathering")]

    def note(line: str) -> None:
        states[0] = GroupStatus.model_validate_json(line)
        on_status(states[0])

    with tempfile.TemporaryDirectory(prefix="dltrain-run-") as folder:
        job_file = Path(folder, "job.json")
        job_file.write_text(job.model_dump_json(by_alias=True, exclude_none=True, exclude={"status"}))
        with agent(job_file, output.resolve(), workspace or Path.cwd()) as (process, statuses):
            assert process.stdout is not None
            outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
            readers = [reader(statuses, note, outcomes.put), reader(process.stdout, on_line, outcomes.put)]
            error = outcomes.get() or outcomes.get()  # one of each reader; the first error does not wait for the other
            if error is not None:
                end(process)
            code = process.wait()
            for thread in readers:
                thread.join()
    if error is not None:
        raise error
    return LocalResult(code == 0, states[0], output)


def check_installed(job: DLTrainJob) -> None:
    """See that what a local run needs is installed.

    Raises:
        MissingSoftwareError: it is not.
    """
    require("a local run", *NEEDED, *(NEEDED_BY_PIPELINES if job.spec.pipeline else ()))


@contextmanager
def agent(job_file: Path, output: Path, workspace: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A running agent and its states; nothing of it is left after the block.

    The agent ends by itself when its input closes, so that not even a parent that was killed leaves a process.
    """
    read, write = os.pipe()
    command = [*AGENT, "--local", "--job", str(job_file), "--output", str(output)]
    with os.fdopen(read) as statuses:
        try:
            process = subprocess.Popen(
                [*command, "--status-fd", str(write)],
                cwd=workspace,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=[write],
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        finally:
            os.close(write)
        with process:
            try:
                yield process, statuses
            finally:
                end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End the agent and its ranks: kindly, then for certain."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def reader(
    stream: IO[str], take: Callable[[str], None], tell: Callable[[BaseException | None], None]
) -> threading.Thread:
    """A running thread that reads a stream to its end, whatever happens.

    Args:
        stream: what to read; while nobody does, who writes to it stands still.
        take: gets each line, until it raises an error.
        tell: gets that error at once; None at the end if there was none.
    """

    def work() -> None:
        error: BaseException | None = None
        try:
            for line in stream:
                take(line.rstrip("\n"))
        except BaseException as caught:  # noqa: BLE001 - the caller's thread raises it
            error = caught
        tell(error)
        with suppress(ValueError):  # closed meanwhile, after Ctrl-C
            deque(stream, maxlen=0)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
