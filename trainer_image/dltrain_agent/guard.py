"""Which ranks stand still: a rank that neither goes on nor waits for others keeps all of them waiting; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dltrain.pulse import IDLE, WAITS, Beat

DEADLOCK: Final = 2.0
"""How many times the patience has to be over before ranks that all wait for each other count as standing still."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A beat, and when it was first seen."""

    beat: Beat
    since: float


def look(seen: Mapping[int, Seen], beats: Mapping[int, Beat], now: float) -> dict[int, Seen]:
    """What is known of each rank's pulse after a look at all of them.

    Args:
        seen: what was known before.
        beats: the newest by rank.
        now: the present time, in seconds.
    """
    return {
        rank: known if (known := seen.get(rank)) is not None and known.beat == beat else Seen(beat, now)
        for rank, beat in beats.items()
    }


def standing_still(seen: Mapping[int, Seen], patience: float, now: float) -> list[int]:
    """The ranks that have stood still for too long.

    Args:
        seen: each rank's pulse.
        patience: seconds; 0 for as long as they like.
        now: the present time.
    """
    return [
        rank
        for rank, known in seen.items()
        if patience > 0
        and known.beat.about != IDLE
        and now - known.since >= patience * (DEADLOCK if known.beat.about == WAITS else 1.0)
    ]
