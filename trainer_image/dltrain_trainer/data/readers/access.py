"""Errors of the files and folders that a source consists of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dltrain_trainer.errors import DataError


@contextmanager
def source_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a source into an error that names the file or folder.

    Args:
        path: what is read; named where the system does not say which file or folder it is.

    Raises:
        DataError: an OSError happened inside the block.
    """
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The error that a file or folder of a source cannot be read; `path` as of `source_errors`."""
    reason = os.strerror(error.errno) if error.errno else str(error)  # libraries put words of theirs into strerror
    remedy = "make it readable for the job, or correct spec.pipeline.data.source"
    return DataError(f"{error.filename or path}: cannot be read ({reason}); {remedy}")
