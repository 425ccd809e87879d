"""What stands between the operator and the API server: injects faults into writes, and judges each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dltrain.errors import UnavailableError
from dltrain_operator.answers import StaleError
from dltrain_operator.records import Object
from tests.faults.invariants import Judge
from tests.faults.world import World

EVENT_FAULTS: Final = ("dropped event", "delayed kind", "duplicated event", "410", "stale restart")


class Killed(BaseException):
    """The operator's process is gone."""


BEFORE: Final[Mapping[str, Callable[[], BaseException]]] = {
    "kill before": Killed,
    "409": lambda: StaleError("injected: the object has been modified"),
    "429": lambda: UnavailableError("injected: 429"),
    "500": lambda: UnavailableError("injected: 500"),
}
"""Faults of writes that never reach the API server."""
AFTER: Final[Mapping[str, Callable[[], BaseException]]] = {
    "kill after commit": Killed,
    "timeout after commit": lambda: UnavailableError("injected: no answer"),
}
"""Faults of writes that do."""
FAULTS: Final = (*BEFORE, *AFTER, *EVENT_FAULTS)


@dataclass
class Proxy:
    """A connection to the API server whose writes fail as planned."""

    world: World
    judge: Judge
    faults: Mapping[int, str]
    """The number of a write -> what goes wrong with it, or with what the watches tell of it."""
    writes: int = 0
    due: list[str] = field(default_factory=list)
    """Faults of watches that the next telling has."""

    async def create(self, manifest: dict[str, Any]) -> Object:
        """Create an object, perhaps."""
        return await self._write(manifest, lambda: self.world.cluster.create(manifest))

    async def apply(self, manifest: dict[str, Any], subresource: str = "") -> Object:
        """Apply an object, perhaps."""
        return await self._write(manifest, lambda: self.world.cluster.apply(manifest, subresource))

    async def delete(self, kind: str, namespace: str, name: str, uid: str, *, force: bool = False) -> Object:
        """Delete an object, perhaps."""
        self.judge.deletes(kind, name, uid)
        assert namespace == self.world.namespace, "there is nothing of the job elsewhere"
        return await self._write(None, lambda: self.world.delete(kind, name, uid, force=force))

    def pages(self, kind: str, namespace: str, selector: str) -> Any:
        """Lists are not disturbed."""
        return self.world.cluster.pages(kind, namespace, selector)

    async def _write(self, manifest: dict[str, Any] | None, send: Callable[[], Awaitable[Object]]) -> Object:
        if manifest is not None and manifest["kind"] == "Event":
            return {}
        number, self.writes = self.writes, self.writes + 1
        fault = self.faults.get(number, "")
        if fault in EVENT_FAULTS:
            self.due.append(fault)
        fail_if(BEFORE.get(fault))
        answer = await send()
        if manifest is not None:
            self.judge.wrote(answer)
            self.world.note(answer)
        fail_if(AFTER.get(fault))
        return answer


def fail_if(make: Callable[[], BaseException] | None) -> None:
    """Raise what is made, if anything is."""
    if make is not None:
        raise make()
