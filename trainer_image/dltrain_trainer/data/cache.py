"""The folder of this machine or pod where data is kept that was fetched or made once, for all ranks on it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise DataError(
            f"cannot write {path.parent} ({error.strerror}); set DLTRAIN_CACHE to a folder that can be written"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Tell the reader of a rank's log."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of a rank
