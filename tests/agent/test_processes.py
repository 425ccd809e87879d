"""Children are reaped, stopped with everything they started, and heard to their last line."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.channel import MAX_MESSAGE_BYTES, GroupStatus, RankExited
from dltrain_agent.causes import root_cause
from dltrain_agent.memory import oom_kills
from dltrain_agent.output import Output, tail_of
from dltrain_agent.processes import Exit, Process, Processes, stop
from dltrain_agent.watch import end_with_stack
from dltrain_agent.worker import Worker
from tests.agent.builders import ended, job, settings


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


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN, "SIGRTMIN"), (36, "SIGRTMIN+2"), (33, "SIGRTMIN-1")],
)
def test_every_signal_has_a_name(number: int, name: str) -> None:
    assert str(Exit(signal=number)) == name


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(processes: Processes) -> None:
    read, write = os.pipe()
    child = shell(processes, "trap '' TERM; echo ready; while :; do sleep 60; done", write)
    os.close(write)
    os.read(read, 6)
    await stop([child], 0.2)
    assert child.exited.result() == Exit(signal=signal.SIGKILL)
    assert os.read(read, 1) == b"", "the sleep that it started is gone too"
    os.close(read)


class LeftError(BaseException):
    """The agent has ended."""


@pytest.mark.parametrize(
    ("end", "sent"),
    [
        pytest.param(lambda process: stop([process], 0), [signal.SIGTERM, signal.SIGKILL], id="an attempt's end"),
        pytest.param(end_with_stack, [signal.SIGUSR1, signal.SIGKILL], id="a rank that stands still"),
    ],
)
async def test_an_agent_ends_that_cannot_end_a_process(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[Process], Coroutine[None, None, None]],
    sent: list[int],
) -> None:
    told: list[tuple[int, int]] = []

    def leave(code: int) -> None:
        raise LeftError(code)

    monkeypatch.setattr(os, "killpg", lambda pid, number: told.append((pid, number)))
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr("dltrain_agent.processes.KILLED_SECONDS", 0.0, raising=False)
    monkeypatch.setattr("dltrain_agent.watch.STACK_SECONDS", 0.0)
    stuck = Process(7, asyncio.get_running_loop().create_future())
    with pytest.raises(LeftError, match="1"):
        async with asyncio.timeout(5):
            await end(stuck)
    assert told == [(7, number) for number in sent]
    assert [record.message for record in caplog.records] == [
        "still there 0 s after SIGKILL: [7]; is a storage stuck? this agent ends"
    ]


class Late(Processes):
    """Children whose attempt ends in the moment of their start."""

    worker: Worker
    started: Process

    def start(self, *given: Any) -> Process:
        self.worker._attempt = None
        self.started = super().start(*given)
        return self.started


async def test_an_agent_ends_that_cannot_end_a_rank_which_it_has_just_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def leave(code: int) -> None:
        raise LeftError(code)

    late = Late()
    late.worker = worker = Worker(settings(tmp_path, job("sleep", "60")), late, tmp_path, tmp_path)
    monkeypatch.setattr(os, "killpg", lambda _pid, _number: None)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr("dltrain_agent.processes.KILLED_SECONDS", 0.0)
    worker.begin(1)
    given = {**os.environ, "OMPI_COMM_WORLD_RANK": "0"}
    with pytest.raises(LeftError, match="1"):
        async with asyncio.timeout(5):
            await worker._run_rank(given, asyncio.StreamReader(), None)  # type: ignore[arg-type]  # nobody is answered
    assert "is a storage stuck? this agent ends" in caplog.text
    os.kill(late.started.pid, signal.SIGKILL)
    await late.started.exited
    late.close()


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


async def test_a_log_that_nobody_reads_holds_up_the_child_and_not_the_agent(processes: Processes) -> None:
    read, write = os.pipe()
    output = Output("[rank 3]", sink=write)
    child = shell(processes, "yes | head -n 200000; echo last", output.descriptor)
    output.started()
    await asyncio.wait([child.exited], timeout=0.5)
    assert not child.exited.done()
    with os.fdopen(read, "rb") as log:
        reading = asyncio.create_task(asyncio.to_thread(log.read))
        assert await child.exited == Exit(code=0)
        await output.drain()
        os.close(write)
        assert await reading == 200000 * b"[rank 3] y\n" + b"[rank 3] last\n"


async def test_the_last_lines_of_a_child_are_known_though_no_log_takes_them(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dltrain_agent.output.SINK_SECONDS", 0.1, raising=False)
    read, write = os.pipe()
    output = Output("[rank 3]", sink=write)
    child = shell(processes, "yes | head -n 20000; echo last", output.descriptor)
    output.started()
    assert await child.exited == Exit(code=0), "the pipe holds the rest"
    async with asyncio.timeout(5):
        await output.drain()
    os.close(read)
    os.close(write)
    assert output.tail[-2:] == ("y", "last")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param(["1%\r2%\r3%", "done"], ("3%", "done"), id="a bar that is drawn over and over"),
        pytest.param(["1%\r2%\r"], ("2%",), id="a bar that was cut off"),
        pytest.param(["", "\r"], ("", ""), id="nothing"),
        pytest.param(["a" + 2000 * "b"], (2000 * "b",), id="a long line"),
        pytest.param(20 * [2000 * "c"], tuple(8 * [2000 * "c"]), id="many long lines"),
        pytest.param([*(7 * [2000 * "c"]), "d", "e"], (*(7 * [2000 * "c"]), "d", "e"), id="as many as fit"),
    ],
)
def test_of_output_is_told_what_a_terminal_would_show_last(lines: list[str], told: tuple[str, ...]) -> None:
    assert tail_of(lines) == told


@pytest.mark.parametrize("text", ["\\1", "\\377", "progress |", "\\r12%%"])
async def test_no_output_is_too_long_for_the_control_channel(processes: Processes, text: str) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    output = Output("[rank 0]", sink)
    script = f"yes \"$(printf '{text}')\" | tr -d '\\n' | head -c 3000000"
    child = shell(processes, script, output.descriptor)
    output.started()
    await child.exited
    await output.drain()
    os.close(sink)
    rank = ended(0, 1, log=output.tail)
    failure = root_cause([rank], 1, "exit code 1", ())
    messages = [RankExited(attempt=1, exit=rank), GroupStatus(state="running", failure=failure, last_restart=failure)]
    sizes = [len(message.model_dump_json(by_alias=True).encode()) for message in messages]
    assert output.tail
    assert max(sizes) < MAX_MESSAGE_BYTES - 16 * 1024, "there is room for all else that a status says"


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
