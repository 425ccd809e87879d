"""Children are reaped, stopped with everything they started, and heard to their last line."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dltrain_agent.memory import oom_kills
from dltrain_agent.output import Output
from dltrain_agent.processes import Exit, Process, Processes, stop


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    children = Processes()
    yield children
    children.close()


def shell(processes: Processes, script: str, output: int) -> Process:
    return processes.start(["sh", "-c", script], os.environ, Path("/"), output, output)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("exit 0", Exit(code=0), id="well"),
        pytest.param("exit 7", Exit(code=7), id="with a code"),
        pytest.param("kill -SEGV $$", Exit(signal=signal.SIGSEGV), id="by a signal"),
    ],
)
async def test_the_end_of_a_child_is_known_exactly(processes: Processes, script: str, expected: Exit) -> None:
    assert await shell(processes, script, 1).exited == expected


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(processes: Processes) -> None:
    read, write = os.pipe()
    child = shell(processes, "trap '' TERM; echo ready; while :; do sleep 60; done", write)
    os.close(write)
    os.read(read, 6)
    await stop([child], 0.2)
    assert child.exited.result() == Exit(signal=signal.SIGKILL)
    assert os.read(read, 1) == b"", "the sleep that it started is gone too"
    os.close(read)


async def test_orphans_are_adopted_and_reaped(processes: Processes) -> None:
    read, write = os.pipe()
    child = shell(processes, "sh -c 'echo $$; exec sleep 0.05' & wait", write)
    os.close(write)
    orphan = int(os.read(read, 20))
    os.kill(child.pid, signal.SIGKILL)
    await child.exited
    os.close(read)
    while Path(f"/proc/{orphan}").exists():  # noqa: ASYNC110 - a zombie has an entry until it is reaped
        await asyncio.sleep(0)


async def test_output_is_prefixed_line_by_line_and_its_tail_remembered(processes: Processes) -> None:
    read, write = os.pipe()
    output = Output("[rank 3]", sink=write)
    child = shell(processes, "seq 40; printf 'no newline'", output.descriptor)
    output.started()
    await child.exited
    await output.drain()
    os.close(write)
    lines = [*(str(number) for number in range(1, 41)), "no newline"]
    with os.fdopen(read) as text:
        assert text.read() == "".join(f"[rank 3] {line}\n" for line in lines)
    assert output.tail == tuple(lines[-30:])


async def test_output_that_a_grandchild_holds_open_does_not_hold_up_the_end() -> None:
    output = Output("[x]")
    await output.drain()
    os.close(output.descriptor)
    assert output.tail == ()


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        pytest.param("low 0\noom 2\noom_kill 3\n", 3, id="cgroup v2"),
        pytest.param("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 1, id="cgroup v1"),
        pytest.param("under_oom 0\n", 0, id="no counter"),
    ],
)
def test_memory_kills_are_counted(tmp_path: Path, text: str, kills: int) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text(text)
    assert oom_kills((tmp_path / "absent", counter)) == kills
