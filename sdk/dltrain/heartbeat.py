"""Saying on a channel, every few seconds, that this side lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from dltrain.api.channel import HEARTBEAT_SECONDS, Heartbeat
from dltrain.channel import Channel
from dltrain.errors import ChannelError


@contextlib.asynccontextmanager
async def heartbeats(channel: Channel) -> AsyncIterator[None]:
    """Send heartbeats while the block runs, and close the channel after it."""
    task = asyncio.create_task(_beat(channel))
    try:
        yield
    finally:
        task.cancel()
        channel.close()


async def _beat(channel: Channel) -> None:
    with contextlib.suppress(ChannelError):  # the side that reads the channel notices and tells why
        while True:
            await channel.send(Heartbeat())
            await asyncio.sleep(HEARTBEAT_SECONDS)
