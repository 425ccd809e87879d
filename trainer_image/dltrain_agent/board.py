"""The newest status of the group, for whoever follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from dltrain.api.channel import GroupStatus

INTERVAL_SECONDS: Final = 0.2
"""Changes that follow one another faster reach followers as one, but for a change of state."""


class StatusBoard:
    """Holds one status; followers see the newest, not every one."""

    def __init__(self) -> None:
        self._status: GroupStatus | None = None
        self._changed = asyncio.Event()

    @property
    def newest(self) -> GroupStatus | None:
        """The newest status."""
        return self._status

    def post(self, status: GroupStatus) -> None:
        """Replace the status; followers wake if it differs."""
        if status != self._status:
            self._status = status
            self._changed.set()
            self._changed = asyncio.Event()

    async def follow(self) -> AsyncIterator[GroupStatus]:
        """The status now and after each change, until the job is over."""
        seen: GroupStatus | None = None
        while seen is None or seen.state not in {"succeeded", "failed"}:
            changed = self._changed
            if self._status is None or self._status == seen:
                await changed.wait()
            elif seen is not None and self._status.state == seen.state:
                await asyncio.sleep(INTERVAL_SECONDS)
            status = self._status
            if status is not None and status != seen:
                seen = status
                yield status
