"""Waiting for a cluster that cannot answer yet."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

from dltrain.errors import ClusterError

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 2.0
"""Between two attempts."""

Answer = TypeVar("Answer")


def delays() -> Iterator[float]:
    """Seconds between attempts to reach the API: nothing that would be done instead of the next is any better."""
    return itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(5.0))


async def patiently(ask: Callable[[], Awaitable[Answer]], passing: type[ClusterError]) -> Answer:
    """Ask the cluster again and again until it answers.

    Args:
        ask: sends the request.
        passing: the errors that pass with time; others are raised.
    """
    while True:
        try:
            return await ask()
        except passing as error:
            log.warning("%s; again in %g s", error, PAUSE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)
