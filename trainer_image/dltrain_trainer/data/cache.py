"""The folder of this machine or pod where data is kept that was fetched or made once, for all ranks on it."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from dltrain_trainer.errors import DataError

Say = Callable[[str], None]
"""Tells the reader of the log, for some things take a while."""


def cache_folder() -> Path:
    """Where data is kept: DLTRAIN_CACHE, else .cache/dltrain of the user."""
    return Path(os.environ.get("DLTRAIN_CACHE") or Path.home() / ".cache" / "dltrain") / "datasets"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that is to be made: one rank makes it, the others wait.

    The operating system lets go of it when a process ends, however it ends.

    Raises:
        DataError: its folder cannot be written.
    """
    with opened(path.with_name(f"{path.name}.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def opened(lock: Path) -> IO[str]:
    """A file to be locked, made with its folder where it is missing.

    Raises:
        DataError: it cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return lock.open("a+")  # NFS takes shared locks of what is read only, and others of what is written
    except OSError as error:
        raise DataError(
            f"cannot write {lock.parent} ({error.strerror}); set DLTRAIN_CACHE to a folder that can be written"
        ) from error


_read: Final[dict[Path, int]] = {}
"""The folders that this process reads -> descriptors whose shared locks say so, until it ends."""


def copies(first: Path) -> list[Path]:
    """The folders that may have copies of one thing: the first, and those that were needed while it was read."""
    return [first, *sorted(first.parent.glob(f"{first.name}-*[0-9]"))]


def free_copy(first: Path) -> Path:
    """A folder, there or not yet, whose content may be changed: no other process reads it; the first one is locked."""
    there = copies(first)
    new = (first.with_name(f"{first.name}-{number}") for number in range(2, len(there) + 2))
    return next((folder for folder in there if not is_read(folder)), None) or next(
        folder for folder in new if folder not in there
    )


def remove_unread(first: Path, used: Path) -> None:
    """Remove all copies but one, if no other process reads them; the first one is locked."""
    for folder in copies(first):
        if folder not in {used, *_read} and not is_read(folder):
            shutil.rmtree(folder, ignore_errors=True)


def read_on(folder: Path) -> None:
    """Keep other processes from changing a folder for as long as this one lives."""
    if folder not in _read:
        _read[folder] = lock_of_readers(folder)
    fcntl.flock(_read[folder], fcntl.LOCK_SH)


def is_read(folder: Path) -> bool:
    """Whether another process reads a folder."""
    lock = _read[folder] if folder in _read else lock_of_readers(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        if folder in _read:
            fcntl.flock(lock, fcntl.LOCK_SH)  # which was given up for the other one
        else:
            os.close(lock)
    return False


def lock_of_readers(folder: Path) -> int:
    """The descriptor of a file whose lock is shared by all processes that read a folder.

    Raises:
        DataError: it cannot be written.
    """
    with opened(folder.with_name(f"{folder.name}.readers")) as file:
        return os.dup(file.fileno())


def say(line: str) -> None:
    """Tell the reader of a rank's log."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of a rank
