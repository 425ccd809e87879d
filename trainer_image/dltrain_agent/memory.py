"""Whether the kernel has killed processes of this pod for exceeding its memory limit."""

from __future__ import annotations

from pathlib import Path
from typing import Final

COUNTERS: Final = (
    Path("/sys/fs/cgroup/memory.events"),  # cgroup v2
    Path("/sys/fs/cgroup/memory/memory.oom_control"),  # cgroup v1
)


def oom_kills(counters: tuple[Path, ...] = COUNTERS) -> int:
    """How many processes of this cgroup the kernel has killed for memory so far; 0 where that cannot be seen."""
    for counter in counters:
        try:
            lines = counter.read_text().splitlines()
        except OSError:
            continue
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0
