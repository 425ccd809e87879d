"""`python -m dltrain_agent`: the main process of a worker pod, and of a local run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Final, NoReturn

from dltrain.api.channel import GroupStatus
from dltrain.channel import channel_context
from dltrain.errors import SpecError
from dltrain.names import EXIT_DO_NOT_RETRY, EXIT_TOLD_TO_END
from dltrain_agent.coordinator import Coordinator
from dltrain_agent.member import Member
from dltrain_agent.memory import memory_folder
from dltrain_agent.processes import Processes
from dltrain_agent.reports import ReportServer
from dltrain_agent.server import serve_control_port
from dltrain_agent.settings import Settings, from_arguments
from dltrain_agent.summary import termination_message
from dltrain_agent.worker import Worker

log = logging.getLogger("dltrain_agent")

EXIT_ERROR: Final = 1
FOLDER_SECONDS: Final = 10.0
"""How long a storage may take to make a folder before the agent goes on without."""


async def run(settings: Settings) -> int:
    """Run one agent until the job, or this pod, ends; returns the exit code."""
    loop = asyncio.get_running_loop()
    told_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)

    def input_ends() -> None:
        """The end of its input is the end of who started it."""
        loop.remove_reader(sys.stdin)
        told_to_end.set()

    if settings.local:
        loop.add_reader(sys.stdin, input_ends)
    with socket_folder(settings) as folder:
        return await run_role(settings, folder, told_to_end)


@contextlib.contextmanager
def socket_folder(settings: Settings) -> Iterator[Path]:
    """A folder for the agent's sockets: in a pod the same on every worker, for mpirun hands its path to all of them."""
    if not settings.local:
        settings.sockets.mkdir(mode=0o700)
        yield settings.sockets
        return
    with tempfile.TemporaryDirectory(prefix="dltrain-") as folder:
        yield Path(folder)


async def run_role(settings: Settings, folder: Path, told_to_end: asyncio.Event) -> int:
    """Be the coordinator or a member, and leave no process behind."""
    processes = Processes()
    with memory_folder() as memory:
        worker = Worker(settings, processes, folder, memory)
        try:
            async with await worker.listen():
                return await until_told(work_of(settings, worker), worker, told_to_end)
        finally:
            await worker.close()
            processes.close()


def work_of(settings: Settings, worker: Worker) -> Coroutine[None, None, int]:
    """What an agent does; ends with its exit code."""
    if settings.index == 0:
        return run_coordinator(settings, Coordinator(settings, worker), worker)
    return Member(settings, worker, identity(settings, ssl.Purpose.SERVER_AUTH)).run()


async def until_told(role: Coroutine[None, None, int], worker: Worker, told_to_end: asyncio.Event) -> int:
    """Do the work to its end, or until told to end: then ranks may first keep what they have done."""
    work, end = asyncio.create_task(role), asyncio.create_task(told_to_end.wait())
    await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not work.done():
        log.info("told to end")
        await worker.wind_down()
        work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await work
    return EXIT_TOLD_TO_END


async def run_coordinator(settings: Settings, coordinator: Coordinator, worker: Worker) -> int:
    """Serve members, observers and reports while the coordinator runs the job."""
    await make_folder(settings.output)
    reports = ReportServer(worker.report_socket, coordinator.reported)
    worker.before_exit = reports.receive
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(reports.close)
        stack.push_async_callback(worker.clear)  # before that: a rank's last reports are taken when it ends
        if settings.status_descriptor is not None:
            coordinator.follow(write_statuses(coordinator, settings.status_descriptor))
        else:
            server = await serve_control_port(coordinator.serve, identity(settings, ssl.Purpose.CLIENT_AUTH))
            stack.callback(server.close)
        code = await coordinator.run()
        if not settings.local:
            leave_message(settings.termination_log, coordinator.status)
        return code


def leave_message(file: Path, status: GroupStatus) -> None:
    """Write the termination message; without it the exit code says what matters, and observers have heard the rest."""
    try:
        file.write_text(termination_message(status))
    except OSError as error:
        log.warning("the termination message cannot be written: %s", error)


async def make_folder(folder: Path) -> None:
    """Make the job's folder; a storage that does not take it is told of here, and by preflight and the ranks."""
    try:
        async with asyncio.timeout(FOLDER_SECONDS):
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    except (OSError, TimeoutError) as error:
        log.error("cannot make %s: %s", folder, str(error) or "the storage does not answer")  # noqa: TRY400 - no bug


async def write_statuses(coordinator: Coordinator, descriptor: int) -> None:
    """Write each status as a line of JSON, for the command line that started this agent."""
    async for status in coordinator.board.follow():
        os.write(descriptor, status.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n")


def identity(settings: Settings, purpose: ssl.Purpose) -> ssl.SSLContext:
    """The TLS context of the job's identity, from the files of its Secret."""
    folder = settings.identity
    return channel_context(purpose, folder / "ca.crt", folder / "tls.crt", folder / "tls.key")


async def run_and_leave(settings: Settings) -> NoReturn:
    """Run one agent, and end this process."""
    try:
        code = await run(settings)
    except Exception:
        log.exception("the agent ends by an error of its own")
        code = EXIT_ERROR
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that a storage does not answer would be waited for, for ever


def main() -> None:
    """Run the agent that the arguments or the environment describe."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s agent: %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    try:
        settings = from_arguments(sys.argv[1:], os.environ)
    except SpecError as error:
        log.error("the job is not valid:\n%s", error)  # noqa: TRY400 - the problems are all there is to say
        sys.exit(EXIT_DO_NOT_RETRY)
    asyncio.run(run_and_leave(settings))


if __name__ == "__main__":
    main()
