"""Which processor figures belong to, and what it does natively."""

from __future__ import annotations

import os
import platform
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

SETS: Final = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
    ("asimddp", "NEON with dot product"),
    ("asimd", "NEON"),
)
"""A flag of /proc/cpuinfo and the name of the instruction set, from the fastest for int8 to the slowest."""
WITHOUT_SATURATION: Final = frozenset({"AMX", "AVX-512 VNNI", "AVX-VNNI", "NEON with dot product", "NEON"})
"""Where a sum of two products of bytes cannot overflow 16 bits; elsewhere int8 weights get 7 bits."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Where something was measured."""

    name: str
    cores: int
    """As many as this process may use."""
    instructions: str
    """The name of its best instruction set."""

    @property
    def saturates(self) -> bool:
        """Whether products of 8-bit numbers are summed in 16 bits, which 8-bit weights overflow."""
        return self.instructions not in WITHOUT_SATURATION


@cache
def processor() -> Processor:
    """The one at hand."""
    path = Path("/proc/cpuinfo")
    return parse_processor(path.read_text() if path.exists() else "", len(os.sched_getaffinity(0)))


def parse_processor(text: str, cores: int) -> Processor:
    """What /proc/cpuinfo says.

    Args:
        text: its content.
        cores: as many as may be used.
    """
    lines = (line.partition(":") for line in text.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in reversed(list(lines))}
    flags = frozenset(fields.get("flags", fields.get("Features", "")).split())
    return Processor(fields.get("model name", platform.machine()), cores, best_of(flags))


def best_of(flags: AbstractSet[str]) -> str:
    """The best instruction set among flags; the machine's architecture where none is known."""
    return next((name for flag, name in SETS if flag in flags), platform.machine())
