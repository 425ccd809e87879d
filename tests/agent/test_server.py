"""Only peers that hold a certificate of the job get an answer on the control port."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dltrain.api.channel import (
    MAX_MESSAGE_BYTES,
    AttemptEnded,
    DaemonExited,
    EndAttempt,
    GroupStatus,
    Heartbeat,
    Join,
    Observe,
    Refused,
    Welcome,
)
from dltrain.api.report import ProgressReport
from dltrain.channel import Channel, channel_context, open_channel
from dltrain.errors import ChannelError
from dltrain_agent import events as e
from dltrain_agent.coordinator import Coordinator
from dltrain_agent.member import Member
from dltrain_agent.processes import Exit, Processes
from dltrain_agent.server import serve_control_port
from dltrain_agent.worker import Worker
from tests.agent.builders import job, join, settings
from tests.agent.identity import make_authority, make_leaf

HOST = "127.0.0.1"


def context(purpose: ssl.Purpose, folder: Path) -> ssl.SSLContext:
    return channel_context(purpose, folder / "ca.crt", folder / "tls.crt", folder / "tls.key")


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the leaves of this job's authority, and of another one's."""
    root = tmp_path_factory.mktemp("identity")
    make_authority(root / "job")
    make_authority(root / "other")
    return {
        "worker": make_leaf(root / "job", "worker", root / "worker"),
        "observer": make_leaf(root / "job", "observer", root / "observer"),
        "stranger": make_leaf(root / "other", "worker", root / "stranger"),
    }


def port_of(server: asyncio.Server) -> int:
    """Where a server listens on HOST."""
    return next(int(each.getsockname()[1]) for each in server.sockets if each.family == socket.AF_INET)


@pytest.fixture
async def port(tmp_path: Path, identities: dict[str, Path]) -> AsyncIterator[int]:
    """The control port of a coordinator that waits for two more workers."""
    processes = Processes()
    spec = job(replicas=3)
    coordinator = Coordinator(
        settings(tmp_path, spec, local=False), Worker(settings(tmp_path, spec), processes, tmp_path, tmp_path)
    )
    running = asyncio.create_task(coordinator.run())
    server = await serve_control_port(coordinator.serve, context(ssl.Purpose.CLIENT_AUTH, identities["worker"]), port=0)
    yield port_of(server)
    server.close()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    processes.close()


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    """One that does nothing by itself."""
    processes, spec = Processes(), job()
    worker = Worker(settings(tmp_path, spec), processes, tmp_path, tmp_path)
    yield Coordinator(settings(tmp_path, spec, local=False), worker)
    processes.close()


@pytest.fixture
async def lost(identities: dict[str, Path]) -> AsyncIterator[Channel]:
    """The coordinator's end of a channel whose other end is gone."""
    ends: asyncio.Queue[Channel] = asyncio.Queue()
    over = asyncio.Event()

    async def keep(channel: Channel) -> None:
        ends.put_nowait(channel)
        await over.wait()

    server = await serve_control_port(keep, context(ssl.Purpose.CLIENT_AUTH, identities["worker"]), port=0)
    other = await dial(port_of(server), identities["worker"])
    mine = await ends.get()
    other.abort()
    with pytest.raises(ChannelError):
        await mine.receive()
    yield mine
    over.set()
    server.close()


async def dial(port: int, identity: Path) -> Channel:
    return await open_channel(HOST, port, context(ssl.Purpose.SERVER_AUTH, identity))


@pytest.mark.parametrize(("stage", "event"), [("evaluate", e.Spared(0)), ("train", e.Settled(0))])
async def test_an_attempt_is_interrupted_in_its_training_and_spared_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, event: e.Event
) -> None:
    monkeypatch.setattr("dltrain_agent.coordinator.GATHER_SECONDS", 0)
    processes, spec = Processes(), job()
    worker = Worker(settings(tmp_path, spec), processes, tmp_path, tmp_path)
    coordinator = Coordinator(settings(tmp_path, spec, local=False), worker)
    progress = ProgressReport(rank=0, stage=stage, step=1)
    coordinator.reported(progress, datetime.now(UTC))
    await coordinator._interrupt(0)
    assert coordinator._events.get_nowait() == (event, None)
    processes.close()


async def test_a_worker_is_welcomed_and_an_observer_sees_it(port: int, identities: dict[str, Path]) -> None:
    worker = await dial(port, identities["worker"])
    await worker.send(join(1, attempt=3))
    assert await anext(worker) == Welcome()
    observer = await dial(port, identities["observer"])
    await observer.send(Observe())
    assert await anext(observer) == GroupStatus(state="gathering", attempt=3, members=(0, 1))
    worker.close()
    assert await anext(observer) == GroupStatus(state="gathering", attempt=3, members=(0,))
    observer.close()


async def test_an_older_incarnation_is_refused_with_the_reason(port: int, identities: dict[str, Path]) -> None:
    newer, older = await dial(port, identities["worker"]), await dial(port, identities["worker"])
    await newer.send(join(1, 2))
    assert await anext(newer) == Welcome()
    await older.send(join(1, 1))
    assert await anext(older) == Refused(reason="worker 1 has been replaced by incarnation 2")
    newer.close()
    older.close()


async def test_a_worker_that_is_gone_as_soon_as_it_has_asked_does_not_count_as_present(
    port: int, identities: dict[str, Path]
) -> None:
    worker = await dial(port, identities["worker"])
    worker.post(join(1, attempt=3))
    worker.close()
    observer = await dial(port, identities["observer"])
    await observer.send(Observe())
    async with asyncio.timeout(5):
        while await anext(observer) != GroupStatus(state="gathering", attempt=3, members=(0,)):
            pass
    observer.close()


async def test_a_prted_of_an_earlier_attempt_that_ends_late_does_not_end_that_of_the_next(
    coordinator: Coordinator, lost: Channel
) -> None:
    coordinator._group = replace(coordinator._group, number=2)
    coordinator._members[1] = lost
    ended = asyncio.create_task(coordinator._remote_start("tiny-1", ["prted"]))
    await asyncio.wait([ended], timeout=0)
    coordinator._hear(lost, 1, DaemonExited(attempt=1, exit_code=143))
    await asyncio.wait([ended], timeout=0)
    assert not ended.done()
    coordinator._hear(lost, 1, DaemonExited(attempt=2, exit_code=0))
    assert await ended == Exit(code=0)


async def test_a_member_that_goes_at_the_end_does_not_change_the_end(coordinator: Coordinator, lost: Channel) -> None:
    coordinator._members[1] = lost
    await coordinator._farewell(0)


async def test_an_observer_that_has_gone_leaves_no_traceback(coordinator: Coordinator, lost: Channel) -> None:
    with pytest.raises(ChannelError):
        await coordinator._serve_observer(lost, Observe())
    [follower] = coordinator._followers
    coordinator.board.post(GroupStatus(state="gathering"))
    await asyncio.wait([follower])
    assert follower.exception() is None


async def test_a_member_tells_of_an_attempt_that_ended_before_it_was_launched_there(
    tmp_path: Path, identities: dict[str, Path]
) -> None:
    known = []

    async def coordinate(channel: Channel) -> None:
        request = await anext(channel)
        assert isinstance(request, Join)
        known.append(request.attempt)
        await channel.send(Welcome())
        await channel.send(EndAttempt(attempt=5))
        assert await anext(channel) == AttemptEnded(attempt=5)

    processes, spec = Processes(), job()
    worker = Worker(settings(tmp_path, spec), processes, tmp_path, tmp_path)
    own = settings(tmp_path, spec, local=False, index=1)
    member = Member(own, worker, context(ssl.Purpose.SERVER_AUTH, identities["worker"]))
    server = await serve_control_port(coordinate, context(ssl.Purpose.CLIENT_AUTH, identities["worker"]), port=0)
    for _ in range(2):
        with pytest.raises(ChannelError):
            await member._serve(await dial(port_of(server), identities["worker"]))
    server.close()
    processes.close()
    assert known == [0, 5]


async def silence_of(channel: Channel) -> None:
    """Nothing but heartbeats comes before the connection is closed."""
    with pytest.raises(ChannelError):
        await anext(channel)
    channel.close()


async def test_an_observer_may_not_join(port: int, identities: dict[str, Path]) -> None:
    channel = await dial(port, identities["observer"])
    await channel.send(join(1))
    await silence_of(channel)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"hello\n", id="no JSON"),
        pytest.param(b'{"type":"exec","command":"id"}\n', id="an unknown type"),
        pytest.param(b'{"type":"join","index":-1}\n', id="a field out of range"),
        pytest.param(b'{"type":"finish","exitCode":0}\n', id="a coordinator's message"),
        pytest.param(b"x" * (MAX_MESSAGE_BYTES + 100) + b"\n", id="too long"),
    ],
)
async def test_what_is_no_message_of_a_member_closes_the_connection(
    port: int, identities: dict[str, Path], line: bytes
) -> None:
    channel = await dial(port, identities["worker"])
    channel._writer.write(line)
    await silence_of(channel)


async def test_a_stranger_with_a_certificate_of_another_job_gets_nothing_and_is_logged(
    port: int, identities: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(identities["stranger"] / "tls.crt", identities["stranger"] / "tls.key")
    with caplog.at_level(logging.WARNING):
        await gets_nothing(port, tls)
    assert "refused a connection" in caplog.text
    assert "certificate verify failed" in caplog.text


async def test_a_peer_without_a_certificate_gets_nothing(port: int) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    await gets_nothing(port, tls)


async def test_a_member_does_not_talk_to_a_coordinator_of_another_job(port: int, identities: dict[str, Path]) -> None:
    with pytest.raises(ChannelError, match="certificate verify failed"):
        await dial(port, identities["stranger"])


async def gets_nothing(port: int, tls: ssl.SSLContext | None) -> None:
    """The peer closes without a byte of answer."""
    with suppress(ssl.SSLError, ConnectionError):
        reader, writer = await asyncio.open_connection(HOST, port, ssl=tls)
        writer.write(b'{"type":"observe"}\n')
        assert await reader.read() == b""
        writer.close()


def test_messages_name_their_type() -> None:
    assert isinstance(Heartbeat(), Heartbeat)
    assert Join.model_validate(join(1).model_dump()).type == "join"
