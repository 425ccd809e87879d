"""A rank's pulse: how far it is and whether it waits for others, in a small mapped file that its agent reads."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LAYOUT: Final = struct.Struct("<qqq")
"""Beats, steps done, and what the rank is about."""
IDLE, WORKS, WAITS = 0, 1, 2
"""Outside of training; in a step of it; in a step, and done with its own part: it waits for the other ranks."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a pulse says at one moment."""

    count: int
    """Rises with everything that the rank says."""
    step: int
    """Optimizer steps done."""
    about: int
    """IDLE, WORKS or WAITS."""


class Pulse:
    """The rank's side; a beat costs a microsecond."""

    def __init__(self, file: Path | None) -> None:
        """Begin.

        Args:
            file: where to; None for nobody.
        """
        self._memory = mapped(file) if file is not None else bytearray(LAYOUT.size)
        self._count, self._step = 0, 0

    def beat(self, about: int, step: int | None = None) -> None:
        """Say what this rank is about, and how many steps are done."""
        self._count += 1
        self._step = self._step if step is None else step
        LAYOUT.pack_into(self._memory, 0, self._count, self._step, about)


def mapped(file: Path) -> mmap.mmap:
    """A file of a pulse's size, new and mapped."""
    file.write_bytes(bytes(LAYOUT.size))
    with file.open("r+b") as opened:
        return mmap.mmap(opened.fileno(), LAYOUT.size)


def pulse_file(folder: Path, rank: int) -> Path:
    """Where the pulse of a rank is."""
    return folder / f"pulse-{rank}"


def read_pulse(file: Path) -> Beat | None:
    """What a rank has said last; None if it has none."""
    try:
        return Beat(*LAYOUT.unpack(file.read_bytes()))
    except (OSError, struct.error):
        return None
