"""The memory of this pod: whether it was exceeded, and a folder in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
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


SHARED: Final = Path("/dev/shm")  # noqa: S108 - a volume of the pod's own
PREFIX: Final = "dltrain-snapshots-"


@contextlib.contextmanager
def memory_folder(root: Path = SHARED) -> Iterator[Path]:
    """A folder in memory for as long as the agent lives; what agents that were killed have left is removed."""
    for left in root.glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    where = root if root.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=where) as folder:
        yield Path(folder)
