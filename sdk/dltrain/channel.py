"""The control channel: messages of `dltrain.api.channel`, one JSON object a line, over mutual TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from dltrain.api.channel import MAX_MESSAGE_BYTES, MEMBER_LOST_SECONDS, MESSAGE, Heartbeat, Message
from dltrain.errors import ChannelError

CONNECT_SECONDS: Final = 5.0
"""The deadline for TCP and the TLS handshake together."""
SEND_SECONDS: Final = 10.0
"""How long a peer may leave what is sent to it unread."""


def channel_context(purpose: ssl.Purpose, authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3 that presents a leaf of the job's authority and accepts nothing but another such leaf.

    Host names are not checked: pods change addresses, and membership is the possession of the job's key.

    Args:
        purpose: SERVER_AUTH for the side that dials, CLIENT_AUTH for the side that listens.
        authority: the job's authority, PEM.
        certificate: the leaf to present, PEM.
        key: the leaf's private key, PEM.
    """
    client = purpose is ssl.Purpose.SERVER_AUTH
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


async def open_channel(host: str, port: int, context: ssl.SSLContext) -> Channel:
    """Dial a coordinator.

    Raises:
        ChannelError: nobody answered within the deadline, or the peer holds no certificate of the job.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=MAX_MESSAGE_BYTES)
    except (OSError, TimeoutError) as error:
        raise ChannelError(f"cannot reach {host}:{port}: {str(error) or 'timed out'}") from error
    return Channel(reader, writer)


class Channel:
    """One connection; messages go out in order, and come in until either side closes it.

    A channel belongs to one reader; any task may send.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._address = writer.get_extra_info("peername")  # a connection that is gone does not tell any more
        self.heard_at = asyncio.get_running_loop().time()
        """When the peer last said something, by the clock of the event loop."""

    @property
    def role(self) -> str:
        """The common name in the peer's verified certificate: worker or observer."""
        certificate = self._writer.get_extra_info("peercert") or {}
        subject = {key: value for part in certificate.get("subject", ()) for key, value in part}
        return str(subject.get("commonName", ""))

    @property
    def peer(self) -> str:
        """The peer's address, for logs."""
        return f"{self._address[0]}:{self._address[1]}" if self._address else "unknown"

    async def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            ChannelError: the connection is gone, or the peer reads nothing.
        """
        self.post(message)
        await self.drained()

    async def drained(self) -> None:
        """Wait until what was sent is on its way.

        Raises:
            ChannelError: the connection is gone, or the peer reads nothing.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ChannelError(f"{self.peer}: cannot send: {str(error) or 'timed out'}") from error

    def post(self, message: Message) -> None:
        """Send a message without waiting; a connection that is gone takes it silently, as its reader will learn."""
        if not self._writer.is_closing():
            self._writer.write(message.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n")

    async def receive(self, patience: float = MEMBER_LOST_SECONDS) -> Message:
        """The next message.

        Args:
            patience: seconds of silence, heartbeats counting as noise, after which the peer is lost.

        Raises:
            ChannelError: the peer closed, was silent for too long, or sent what is no message.
        """
        try:
            async with asyncio.timeout(patience):
                line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            raise ChannelError(f"{self.peer}: closed the connection") from error
        except asyncio.LimitOverrunError as error:
            raise ChannelError(f"{self.peer}: sent more than {MAX_MESSAGE_BYTES} bytes in one message") from error
        except (OSError, TimeoutError) as error:
            raise ChannelError(f"{self.peer}: {str(error) or f'silent for {patience:g} s'}") from error
        self.heard_at = asyncio.get_running_loop().time()
        return parse_message(line, self.peer)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """The next message that is no heartbeat; raises ChannelError as receive does."""
        while isinstance(message := await self.receive(), Heartbeat):
            pass
        return message

    def close(self) -> None:
        """Close the connection without waiting for the peer."""
        self._writer.close()

    def abort(self) -> None:
        """Drop the connection at once, with whatever is unsent."""
        self._writer.transport.abort()


def parse_message(line: bytes, peer: str) -> Message:
    """The message that one line holds.

    Raises:
        ChannelError: it is malformed, or of no known type.
    """
    try:
        return MESSAGE.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ChannelError(f"{peer}: not a message: {first['msg']} at {first['loc']}") from error
