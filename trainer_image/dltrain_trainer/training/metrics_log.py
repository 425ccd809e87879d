"""Records of a training, one JSON line each, every step once however often training was resumed."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, Final

from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.files import patiently, storage_errors, write_atomically

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
"""How long a storage that refuses is left alone."""
FLUSH_BYTES: Final = 64 * 1024
"""How much is gathered before it is written, where nobody asks for it sooner."""


class MetricsLog:
    """Appends to a file, after the lines of the steps that are kept from before.

    A storage that refuses (it is full, or away) never stops a training: what is to be recorded waits in memory, is
    tried again, and what is still not written a while after the end is lost, with a warning.
    """

    def __init__(self, path: Path, kept_steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            path: the file.
            kept_steps: steps whose lines are kept, for they are not done again.
            clock: seconds.
        """
        self._path, self._kept_steps, self._clock = path, kept_steps, clock
        self._file: FileIO | None = None
        self._pending = bytearray()
        self._retry_at = clock()
        self._refused = False
        self.flush()

    def write(self, record: Mapping[str, Any]) -> None:
        """Record something of a step, which `step` names; floats are written so that they read back to the same bits.

        Args:
            record: JSON values; a number that is not finite must be None.
        """
        self._pending += f"{json.dumps(record, allow_nan=False)}\n".encode()
        if len(self._pending) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Let readers see what was recorded, if the storage takes it."""
        self._attempt(self._deliver)

    def sync(self) -> None:
        """Make what was recorded durable: before a checkpoint that says these steps are done."""
        self._attempt(self._make_durable)

    def deliver(self) -> None:
        """Let the storage take what was recorded, if it does in a while."""
        with suppress(CheckpointError):  # close tells of what is lost
            patiently(self._path, self._deliver)

    def close(self) -> None:
        """Nothing more is recorded."""
        self._retry_at = self._clock()
        self.flush()
        if self._pending:
            log.warning("%s: the storage has not taken the last %d lines", self._path, self._pending.count(b"\n"))
        if self._file is not None:
            self._file.close()

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do something with the storage, unless it has just refused; tell of the first refusal, and of its end."""
        if self._clock() < self._retry_at:
            return
        try:
            with storage_errors(self._path):
                work()
        except CheckpointError as error:
            self._retry_at = self._clock() + RETRY_SECONDS
            if not self._refused:
                log.warning("%s; training goes on, and this is tried again", error)
            self._refused = True
            return
        if self._refused:
            log.warning("%s: the storage takes records again; none is missing", self._path)
        self._refused = False

    def _deliver(self) -> None:
        """Write all that waits.

        Raises:
            OSError: the storage refuses; what it has not taken waits on.
            CheckpointError: the same.
        """
        if self._file is None:
            self._file = self._open()
        while self._pending:
            del self._pending[: self._file.write(self._pending)]

    def _make_durable(self) -> None:
        self._deliver()
        assert self._file is not None, "deliver opens it"
        os.fsync(self._file.fileno())

    def _open(self) -> FileIO:
        known = self._path.read_bytes() if self._path.exists() else b""
        write_atomically(self._path, kept(known, self._kept_steps))
        return FileIO(self._path, "a")


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
