"""The memory of this pod: whether it was exceeded, and a folder in it."""

from __future__ import annotations

import contextlib
import fcntl
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
    """A folder in memory for as long as the agent lives; what agents that were killed have left is removed.

    An agent holds a lock on its folder: process ids say nothing where agents share memory, but not their processes.
    """
    remove_orphans(root)
    where = root if root.is_dir() else None
    folder, lock = locked_folder(where)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def locked_folder(where: Path | None) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # another agent saw it without a lock, and took it for an orphan


def remove_orphans(root: Path) -> None:
    """Remove the folders that no agent holds any more."""
    for left in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another agent removes it, or it is somebody else's
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(lock)
