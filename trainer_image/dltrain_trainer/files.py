"""Writing files so that they are there whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dltrain_trainer.errors import CheckpointError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by another content, durably.

    Raises:
        CheckpointError: the storage refuses.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with storage_errors(path):
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


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
