"""Looks at the pulses of this worker's ranks, and ends those that stand still once they have said where."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dltrain.pulse import Beat, pulse_file, read_pulse
from dltrain_agent.guard import Seen, look, standing_still
from dltrain_agent.processes import Process, kill

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 1.0
"""How often pulses are looked at."""
STACK_SECONDS: Final = 0.5
"""How long a rank may take to print its stack."""


def take_pulse(memory: Path, rank: int) -> Beat | None:
    """The last beat of a rank that has ended; a later one must not be taken for it."""
    beat = read_pulse(pulse_file(memory, rank))
    pulse_file(memory, rank).unlink(missing_ok=True)
    return beat


async def watch(ranks: Mapping[int, Process], memory: Path, patience: float) -> None:
    """Watch until cancelled.

    Args:
        ranks: the processes of the ranks that run now, by rank; changes meanwhile.
        memory: where their pulses are.
        patience: how long a rank may stand still, in seconds; 0 for ever.
    """
    seen: dict[int, Seen] = {}
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        beats = {rank: read_pulse(pulse_file(memory, rank)) for rank in ranks}
        now = time.monotonic()
        seen = look(seen, {rank: beat for rank, beat in beats.items() if beat is not None}, now)
        for rank in standing_still(seen, patience, now):
            if process := ranks.get(rank):
                log.warning("rank %d stands still after step %d: asked where, then ended", rank, seen[rank].beat.step)
                await end_with_stack(process)


async def end_with_stack(process: Process) -> None:
    """Have a rank print its Python stack, and kill it."""
    process.hung = True
    process.signal(signal.SIGUSR1)
    await asyncio.sleep(STACK_SECONDS)
    await kill([process])
