"""What kopf calls: each handler hands its event on, and nothing else."""

from __future__ import annotations

from typing import Any

import kopf

from dltrain import names
from dltrain_operator.controller import Controller


@kopf.on.startup()
async def fill_cache(memo: Controller, **_: Any) -> None:
    """Know everything before the first watch event."""
    await memo.fill()


@kopf.on.cleanup()
async def stop_working(memo: Controller, **_: Any) -> None:
    """Begin nothing new once the watches have ended."""
    await memo.stop()


@kopf.on.login()
async def log_in(memo: Controller, **_: Any) -> kopf.AiohttpSession:
    """Use the same credentials as our own requests."""
    return kopf.AiohttpSession(server=memo.cluster.server, aiohttp_session=memo.cluster.watch_session())


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def on_job(event: kopf.RawEvent, memo: Controller, **_: Any) -> None:
    """A job was made, changed or deleted."""
    memo.seen(names.KIND, event["type"], event["object"])


@kopf.on.event(names.GROUP, names.VERSION, names.PROFILE_PLURAL)
async def on_profile(event: kopf.RawEvent, memo: Controller, **_: Any) -> None:
    """A profile was made, changed or deleted."""
    memo.seen_profile(event["type"], event["object"])
