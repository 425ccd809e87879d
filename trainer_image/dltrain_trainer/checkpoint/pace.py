"""When to take the next snapshot and the next checkpoint; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

SHARE: Final = 0.01
"""How much of the time of training snapshots may take."""
CAREFUL: Final = 0.7
"""A snapshot is expected to cost what it did this much more cheaply; the rest is for those that happen to be slow."""
RETRY_SECONDS: Final = 5.0
"""How soon a checkpoint is tried again that the storage has refused."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When things were done last, and what they cost; all times in seconds of one clock."""

    every: float
    """Seconds between checkpoints; 0 for one after every epoch and none between."""
    taken: float
    """When the last snapshot was complete, or training began."""
    stored: float
    """When the last checkpoint was begun, or training was."""
    cost: float = 0.0
    """Seconds that a snapshot takes."""

    def snapshot_due(self, now: float) -> bool:
        """Whether a snapshot now keeps their share of the time."""
        return now - self.taken >= self.cost / (SHARE * CAREFUL)

    def checkpoint_due(self, now: float, *, failed: bool) -> bool:
        """Whether the next snapshot is to be stored.

        Args:
            now: the present time.
            failed: whether the last one could not be stored.
        """
        wait = min(self.every, RETRY_SECONDS) if failed else self.every
        return self.every > 0 and now - self.stored >= wait

    def took(self, began: float, now: float) -> Self:
        """After a snapshot: it counts for what it cost, the ones before for a half each time."""
        seconds = now - began
        return replace(self, taken=now, cost=max(seconds, (self.cost + seconds) / 2))

    def storing(self, now: float) -> Self:
        """After a checkpoint was begun."""
        return replace(self, stored=now)
