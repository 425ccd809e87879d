"""What kopf would remember of objects, left out: no handler of ours asks for it, and it costs more than all else."""

from __future__ import annotations

from typing import Any

import kopf
from kopf import BodyEssence
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory  # kopf.operator takes one; no public name


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last state: kopf copies each object three times, with every event, to compare it with that."""

    def build(self, **_: Any) -> BodyEssence:
        """Nothing of an object matters."""
        return BodyEssence({})

    def fetch(self, **_: Any) -> BodyEssence | None:
        """Nothing was stored, and nothing has changed."""
        return BodyEssence({})

    def store(self, **_: Any) -> None:
        """Store nothing."""


class NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers: ours have none."""

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""

    def purge(self, **_: Any) -> None:
        """There is nothing to remove."""

    def touch(self, **_: Any) -> None:
        """There is nothing to touch."""

    def clear(self, *, essence: BodyEssence) -> BodyEssence:
        """There is nothing to leave out."""
        return essence


class NoMemories(ResourceMemories):
    """Keeps nothing between two events of an object: 2 KiB for each would be a fifth of an operator of 10,000 jobs."""

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        """A new memory, which ends with the event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})
