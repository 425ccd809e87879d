"""The control channel on a connection that misbehaves; its TLS is shown with the agent's server."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from dltrain import channel as module
from dltrain.api.channel import MAX_MESSAGE_BYTES, GroupStatus, Heartbeat, Message, Observe, Refused, Welcome
from dltrain.channel import Channel, open_channel, parse_message
from dltrain.errors import ChannelError


@dataclass
class Pair:
    """A channel, and the raw socket of its peer."""

    channel: Channel
    peer: socket.socket


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=MAX_MESSAGE_BYTES)
        peer, _ = listener.accept()
    with peer:
        yield Pair(Channel(reader, writer), peer)
    writer.close()


async def refusal(pair: Pair, patience: float = 5.0) -> str:
    """Why a message could not be received."""
    with pytest.raises(ChannelError) as caught:
        await pair.channel.receive(patience)
    return str(caught.value).removeprefix(f"{pair.channel.peer}: ")


async def send_often(channel: Channel, message: Message) -> None:
    """Send a message more often than any connection holds unread."""
    for _ in range(1000):
        await channel.send(message)
        await asyncio.sleep(0)


async def test_messages_come_in_the_order_in_which_they_were_sent(pair: Pair) -> None:
    pair.peer.sendall(b'{"type":"welcome"}\n{"type":"refused","reason":"no"}\n{"type":"wel')
    assert [await pair.channel.receive(), await pair.channel.receive()] == [Welcome(), Refused(reason="no")]
    pair.peer.sendall(b'come"}\n')
    assert await pair.channel.receive() == Welcome()


async def test_a_message_is_one_line_of_json(pair: Pair) -> None:
    await pair.channel.send(Refused(reason="line 1\nline 2"))
    assert pair.peer.recv(1000) == b'{"type":"refused","reason":"line 1\\nline 2"}\n'


async def test_heartbeats_keep_the_channel_open_and_are_no_messages(pair: Pair) -> None:
    pair.peer.sendall(b'{"type":"heartbeat"}\n' * 3 + b'{"type":"observe"}\n')
    assert await anext(pair.channel) == Observe()


async def test_silence_is_the_loss_of_the_peer(pair: Pair) -> None:
    assert await refusal(pair, patience=0.05) == "silent for 0.05 s"


async def test_half_a_message_is_silence_too(pair: Pair) -> None:
    pair.peer.sendall(b'{"type":"heartbeat"')
    assert await refusal(pair, patience=0.05) == "silent for 0.05 s"


async def test_a_closed_connection_is_told(pair: Pair) -> None:
    pair.peer.shutdown(socket.SHUT_RDWR)
    assert await refusal(pair) == "closed the connection"


async def test_the_largest_message_passes_and_a_larger_one_does_not(pair: Pair) -> None:
    frame = len('{"type":"refused","reason":""}')
    pair.channel._writer.transport.set_write_buffer_limits(high=MAX_MESSAGE_BYTES * 4)
    line = b'{"type":"refused","reason":"%s"}' % (b"x" * (MAX_MESSAGE_BYTES - frame))
    sending = asyncio.create_task(asyncio.to_thread(pair.peer.sendall, line + b"\n" + b"y" + line + b"\n"))
    assert await pair.channel.receive() == Refused(reason="x" * (MAX_MESSAGE_BYTES - frame))
    assert await refusal(pair) == f"sent more than {MAX_MESSAGE_BYTES} bytes in one message"
    pair.channel.abort()
    await asyncio.wait([sending])
    sending.exception()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"hello\n", "not a message: Invalid JSON", id="no JSON"),
        pytest.param(b"[]\n", "not a message: Input should be", id="no object"),
        pytest.param(b'{"type":"exec"}\n', "not a message: Input tag 'exec'", id="an unknown type"),
        pytest.param(
            b'{"type":"refused"}\n', "not a message: Field required at ('refused', 'reason')", id="incomplete"
        ),
    ],
)
async def test_what_is_no_message_is_told_with_its_reason(pair: Pair, line: bytes, reason: str) -> None:
    pair.peer.sendall(line)
    assert (await refusal(pair)).startswith(reason)


def test_a_newer_peers_fields_are_ignored() -> None:
    assert parse_message(b'{"type":"groupStatus","state":"running","mood":"good"}', "x") == GroupStatus(state="running")


async def test_a_peer_that_reads_nothing_is_given_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 0.1)
    large = Refused(reason="x" * 200_000)
    with pytest.raises(ChannelError, match="cannot send: timed out"):
        await send_often(pair.channel, large)
    pair.channel.abort()


async def test_sending_to_a_peer_that_has_gone_is_an_error(pair: Pair) -> None:
    pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close with a reset
    pair.peer.close()
    with pytest.raises(ChannelError, match="cannot send"):
        await send_often(pair.channel, Heartbeat())


async def test_nobody_at_the_other_end_is_told_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ChannelError, match=rf"cannot reach 127.0.0.1:{port}: \[Errno 111\]"):
        await open_channel("127.0.0.1", port, ssl.create_default_context())


async def test_a_host_that_answers_no_handshake_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.1)
    context = ssl.create_default_context()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ChannelError, match=f"cannot reach 127.0.0.1:{port}: timed out"):
            await open_channel("127.0.0.1", port, context)


async def test_a_plain_connection_has_no_role(pair: Pair) -> None:
    assert pair.channel.role == ""
