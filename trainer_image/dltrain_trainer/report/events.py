"""Files for TensorBoard: losses, learning rates and metrics as they come, every step once however often resumed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.files import storage_errors

log = logging.getLogger(__name__)

FOLDER: Final = "tensorboard"
RETRY_SECONDS: Final = 30.0
"""How long a storage that refuses is left alone; what is to be shown of that time is left out."""


class EventLog:
    """Appends to an event file of this attempt's.

    Written without a thread of its own, unlike the usual writers: the trainer decides when to wait for the storage. One
    that refuses never stops a training: after a warning TensorBoard is told nothing for a while, then in another file.
    """

    def __init__(
        self, folder: Path, kept_steps: int, attempt: int, now: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin a file.

        Args:
            folder: of this job's event files.
            kept_steps: steps that are done; TensorBoard forgets what earlier attempts wrote beyond them.
            attempt: how often the ranks were started, this time included; makes the file's name unique.
            now: the present time, seconds since 1970.
            clock: seconds.
        """
        self._folder, self._attempt, self._clock = folder, attempt, clock
        self._start = Event(wall_time=now, step=kept_steps + 1, session_log=SessionLog(status=SessionLog.START))
        self._writer: EventsWriter | None = None
        self._files = 0
        self._retry_at = clock()
        self._do(lambda _writer: None)

    def scalars(self, step: int, values: Mapping[str, float], now: float) -> None:
        """Record values.

        Args:
            step: optimizer steps done.
            values: name -> value, as in `train/loss`; names with the same start are shown together.
            now: the present time, seconds since 1970.
        """
        for name, value in values.items():
            event = Event(wall_time=now, step=step, summary=scalar(name, value))
            self._do(partial(EventsWriter.write_event, event=event))

    def flush(self) -> None:
        """Make what was recorded durable; waits for the storage."""
        self._do(lambda writer: writer.flush())

    def close(self) -> None:
        """Nothing more is recorded."""
        if self._writer is not None:
            self._do(lambda writer: writer.close())

    def _do(self, work: Callable[[EventsWriter], object]) -> None:
        """Do something with the file, unless the storage has just refused; begin one where there is none."""
        if self._clock() < self._retry_at:
            return
        try:
            with storage_errors(self._folder):
                self._writer = self._writer or self._begin()
                work(self._writer)
        except CheckpointError as error:
            log.warning("%s; training goes on, and TensorBoard is told nothing for %g s", error, RETRY_SECONDS)
            self._retry_at, self._writer = self._clock() + RETRY_SECONDS, None

    def _begin(self) -> EventsWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        again = f".{self._files}" if self._files else ""
        self._files += 1
        writer = EventsWriter(str(self._folder / "events"), f".{self._attempt}{again}")
        writer.write_event(self._start)
        return writer
