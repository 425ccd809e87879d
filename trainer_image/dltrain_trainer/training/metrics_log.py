"""Records of a training, one JSON line each, every step once however often training was resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from dltrain_trainer.files import storage_errors, write_atomically


class MetricsLog:
    """Appends to a file, after the lines of the steps that are kept from before.

    Raises:
        CheckpointError: here or in any method: the storage refuses.
    """

    def __init__(self, path: Path, kept_steps: int) -> None:
        self._path = path
        with storage_errors(path):
            known = path.read_bytes() if path.exists() else b""
        write_atomically(path, kept(known, kept_steps))
        with storage_errors(path):
            self._file: TextIO = path.open("a")

    def write(self, record: Mapping[str, Any]) -> None:
        """Record something of a step, which `step` names; floats are written so that they read back to the same bits.

        Args:
            record: JSON values; a number that is not finite must be None.
        """
        line = json.dumps(record, allow_nan=False)
        with storage_errors(self._path):
            self._file.write(f"{line}\n")

    def flush(self) -> None:
        """Let readers see what was recorded."""
        with storage_errors(self._path):
            self._file.flush()

    def sync(self) -> None:
        """Make what was recorded durable: before a checkpoint that says these steps are done."""
        self.flush()
        with storage_errors(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more is recorded."""
        with storage_errors(self._path):
            self._file.close()


def kept(log: bytes, steps: int) -> bytes:
    """The start of a log: its lines up to a step, none that is torn."""
    lines = log.splitlines(keepends=True)
    while lines and not is_within(lines[-1], steps):
        lines.pop()
    return b"".join(lines)


def is_within(line: bytes, steps: int) -> bool:
    """Whether a line is whole, and of a step up to that one."""
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] <= steps
    except (ValueError, TypeError, KeyError):
        return False
