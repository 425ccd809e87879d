"""The coordinator's side of the control channel: accepts members and observers, nobody else."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from typing import Final

from dltrain import names
from dltrain.api.channel import MAX_MESSAGE_BYTES
from dltrain.channel import CONNECT_SECONDS, Channel
from dltrain.errors import ChannelError

log = logging.getLogger(__name__)

MAX_HANDSHAKES: Final = 64
"""Connections that may be without a verified certificate at one time; more are dropped."""

Serve = Callable[[Channel], Coroutine[None, None, None]]


async def serve_control_port(serve: Serve, context: ssl.SSLContext, port: int = names.CONTROL_PORT) -> asyncio.Server:
    """Listen on the control port; each peer that proves its membership is handed over as a channel.

    Args:
        serve: serves one channel until it ends, by ChannelError or by itself.
        context: TLS of the job's identity.
        port: the port to listen on; 0 for any.
    """
    handshakes = asyncio.Semaphore(MAX_HANDSHAKES)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        try:
            if handshakes.locked():
                log.warning("dropped a connection from %s: %d handshakes under way", peer, MAX_HANDSHAKES)
                return
            async with handshakes:
                await writer.start_tls(context, ssl_handshake_timeout=CONNECT_SECONDS)
            await serve(Channel(reader, writer))
        except ChannelError as error:
            log.info("a channel ended: %s", error)
        except OSError as error:  # ssl.SSLError is one
            log.warning("refused a connection from %s: %s", peer, error)
        finally:
            writer.close()

    return await asyncio.start_server(accept, host=None, port=port, limit=MAX_MESSAGE_BYTES)
