"""Ranks forked from a process that has done its imports: children of the agent, or started cold instead."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dltrain.names import EXIT_DO_NOT_RETRY
from dltrain_agent import nursery as module
from dltrain_agent.nursery import Nursery
from dltrain_agent.output import Output
from dltrain_agent.processes import Exit, Process, Processes

ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"}
RANK = {**ENVIRONMENT, "DLTRAIN_RANK": "3"}
NO_JOB = "error: DLTRAIN_JOB_FILE: is not set; an agent sets it, or set it by hand to run one rank alone"


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    children = Processes()
    yield children
    children.close()


@pytest.fixture
async def nursery(processes: Processes, tmp_path: Path) -> AsyncIterator[Nursery]:
    made = Nursery(processes, ENVIRONMENT, tmp_path)
    made.start()
    yield made
    await made.close()


async def forked(nursery: Nursery, **environment: str) -> tuple[Process, Output]:
    output = Output("[rank 3]")
    process = await nursery.fork({**RANK, **environment}, output.descriptor)
    output.started()
    assert process is not None
    return process, output


def parent_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))


async def test_ranks_are_children_of_the_agent_that_lead_a_session(nursery: Nursery, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "job.json")  # which the rank waits for
    assert await nursery.ready()
    rank, output = await forked(nursery, DLTRAIN_JOB_FILE=str(tmp_path / "job.json"))
    assert (parent_of(rank.pid), os.getpgid(rank.pid), os.getsid(rank.pid)) == (os.getpid(), rank.pid, rank.pid)
    rank.signal(signal.SIGKILL)
    assert await rank.exited == Exit(signal=signal.SIGKILL)
    await output.drain()


async def test_ranks_have_an_environment_and_an_output_of_their_own(nursery: Nursery) -> None:
    assert await nursery.ready()
    for environment, code, said in (
        ({}, 1, NO_JOB),
        ({"DLTRAIN_JOB_FILE": "/nonexistent"}, EXIT_DO_NOT_RETRY, "error: document: cannot read /nonexistent"),
    ):
        rank, output = await forked(nursery, **environment)
        assert await rank.exited == Exit(code=code)
        await output.drain()
        assert output.tail[0].startswith(said)


async def test_one_that_is_killed_is_started_again(nursery: Nursery, processes: Processes) -> None:
    assert await nursery.ready()
    process = nursery._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    output = Output("[rank 3]")
    assert await nursery.fork(RANK, output.descriptor) is None
    output.started()
    await output.drain()
    await process.exited
    assert await nursery.ready()
    rank, output = await forked(nursery)
    assert await rank.exited == Exit(code=1)
    await output.drain()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((sys.executable, "-c", "import no_such_module"), id="imports fail"),
        pytest.param(("no-such-program",), id="it cannot be started"),
        pytest.param(("sleep", "60"), id="it is late"),
    ],
)
async def test_ranks_are_started_cold_where_it_does_not_work(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(module, "COMMAND", command)
    monkeypatch.setattr(module, "READY_SECONDS", 2.0)
    nursery = Nursery(processes, ENVIRONMENT, tmp_path)
    nursery.start()
    assert not await nursery.ready()
    await nursery.close()
    assert nursery._process is None or nursery._process.exited.done()
