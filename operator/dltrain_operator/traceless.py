"""What kopf would remember on objects, left out: no handler of ours asks for it, and it costs more than all else."""

from __future__ import annotations

from typing import Any

import kopf
from kopf import BodyEssence


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
