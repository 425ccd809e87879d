"""Writing files so that they are there whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dltrain_trainer.errors import CheckpointError

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 120.0
"""How long what has no second chance waits for a storage to take it."""
PAUSE_SECONDS: Final = 0.5
PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN}
)
"""Refusals that end without the job: of storages that are full or away."""


def deliver(path: Path, data: bytes) -> None:
    """Replace a file by another content, durably; waits while the storage is full or away.

    Raises:
        CheckpointError: the storage refuses, for good or for too long.
    """
    patiently(path, lambda: write_atomically(path, data))


def patiently(path: Path, work: Callable[[], object], patience: float = PATIENCE_SECONDS) -> None:
    """Do something with the storage, again and again while that is full or away.

    Args:
        path: what it is done to, for the error.
        work: may be done again where the storage refuses.
        patience: seconds after which a refusal is one for good.

    Raises:
        CheckpointError: the last refusal.
    """
    ends, waits = time.monotonic() + patience, False
    while True:
        try:
            with storage_errors(path):
                work()
        except CheckpointError as error:
            if not is_passing(error) or time.monotonic() >= ends:
                raise
            if not waits:
                log.warning("%s; this is tried again for %d seconds", error, patience)
            waits = True
        else:
            return
        time.sleep(PAUSE_SECONDS)


def is_passing(error: CheckpointError) -> bool:
    """Whether a refusal may be over soon."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in PASSING


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by another content, durably; a refusal leaves nothing that takes up room.

    Raises:
        CheckpointError: the storage refuses.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):  # the first refusal is the one to tell of
                temporary.unlink()
            raise
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Let a folder exist; waits while the storage is full or away.

    Raises:
        CheckpointError: the storage refuses, for good or for too long.
    """
    patiently(folder, lambda: folder.mkdir(parents=True, exist_ok=True))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn errors of the storage into one that names the path and what to do.

    Raises:
        CheckpointError: an OSError happened inside the block.
    """
    try:
        yield
    except OSError as error:
        remedy = f"check that the storage has space left and is writable for user {os.geteuid()}"
        raise CheckpointError(f"cannot write {path}: {error.strerror}; {remedy}") from error
