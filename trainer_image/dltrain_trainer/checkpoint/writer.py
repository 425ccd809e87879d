"""Snapshots on their way to the storage, in a thread: training does not wait for it and does not fail with it."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dltrain_trainer.checkpoint.folder import Checkpoints
from dltrain_trainer.checkpoint.memory import Snapshot
from dltrain_trainer.errors import CheckpointError

log = logging.getLogger(__name__)

FINISH_SECONDS: Final = 120.0
"""The longest that the end of training waits for the storage."""


@dataclass(frozen=True, slots=True)
class Written:
    """A checkpoint that is complete."""

    step: int
    folder: Path


class Writer:
    """Writes one snapshot at a time; the files of a snapshot under way are left alone meanwhile."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._thread: threading.Thread | None = None
        self._current: Snapshot | None = None
        self._done: queue.SimpleQueue[Written] = queue.SimpleQueue()
        self.failed = False
        """Whether the newest one could not be written."""
        self.written: int | None = None
        """The step of the newest one that is complete."""

    @property
    def busy(self) -> Path | None:
        """The file that is being read."""
        under_way = self._thread is not None and self._thread.is_alive()
        return self._current.file if under_way and self._current else None

    def write(self, snapshot: Snapshot) -> None:
        """Begin to write a snapshot; only while none is under way."""
        assert self.busy is None, "one at a time"
        self._current = snapshot
        self._thread = threading.Thread(target=self._work, args=(snapshot,), name="checkpoint", daemon=True)
        self._thread.start()

    def finished(self) -> list[Written]:
        """The checkpoints that have become complete since this was last asked."""
        return [self._done.get() for _ in range(self._done.qsize())]

    def wait(self) -> None:
        """Wait for what is under way, at most FINISH_SECONDS."""
        if self._thread is not None:
            self._thread.join(FINISH_SECONDS)
            if self._thread.is_alive():
                log.warning("a checkpoint was not written within %g seconds; is the storage stuck?", FINISH_SECONDS)

    def _work(self, snapshot: Snapshot) -> None:
        try:
            folder = self._checkpoints.store(snapshot.step, snapshot.file.read_bytes())
        except (CheckpointError, OSError) as error:
            self.failed = True
            log.warning("no checkpoint of step %d, will try again: %s", snapshot.step, error)
        else:
            self.failed, self.written = False, snapshot.step
            self._done.put(Written(snapshot.step, folder))
