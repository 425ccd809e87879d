"""Files for TensorBoard: losses, learning rates and metrics as they come, every step once however often resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from dltrain_trainer.files import storage_errors

FOLDER: Final = "tensorboard"


class EventLog:
    """Appends to an event file of this attempt's.

    Written without a thread of its own, unlike the usual writers: the trainer decides when to wait for the storage.

    Raises:
        CheckpointError: here or in any method: the storage refuses.
    """

    def __init__(self, folder: Path, kept_steps: int, attempt: int, now: float) -> None:
        """Begin a file.

        Args:
            folder: of this job's event files.
            kept_steps: steps that are done; TensorBoard forgets what earlier attempts wrote beyond them.
            attempt: how often the ranks were started, this time included; makes the file's name unique.
            now: the present time, seconds since 1970.
        """
        self._folder = folder
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventsWriter(str(folder / "events"), f".{attempt}")
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, step=kept_steps + 1, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float], now: float) -> None:
        """Record values.

        Args:
            step: optimizer steps done.
            values: name -> value, as in `train/loss`; names with the same start are shown together.
            now: the present time, seconds since 1970.
        """
        for name, value in values.items():
            self._write(Event(wall_time=now, step=step, summary=scalar(name, value)))

    def flush(self) -> None:
        """Make what was recorded durable; waits for the storage."""
        with storage_errors(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Nothing more is recorded."""
        with storage_errors(self._folder):
            self._writer.close()

    def _write(self, event: Event) -> None:
        with storage_errors(self._folder):
            self._writer.write_event(event)
