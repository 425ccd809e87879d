"""What the first rank puts on record while it trains: every step, every epoch, and the same for TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from dltrain_trainer.report.data import Epoch, TimeSplit
from dltrain_trainer.report.events import FOLDER, EventLog
from dltrain_trainer.training.metrics_log import MetricsLog

STEPS_FILE: Final = "metrics.jsonl"
EPOCHS_FILE: Final = "epochs.jsonl"


@dataclass(frozen=True, slots=True)
class Records:
    """The files of a job; a storage that refuses them never stops a training."""

    attempt: int
    steps: MetricsLog
    epochs: MetricsLog
    events: EventLog

    @classmethod
    def open(cls, output: Path, kept_steps: int, attempt: int) -> Self:
        """Go on after the steps that are done.

        Args:
            output: the job's folder.
            kept_steps: steps that are done; what is on record of later ones is dropped, for they are done again.
            attempt: how often the ranks were started, this time included.
        """
        return cls(
            attempt,
            MetricsLog(output / STEPS_FILE, kept_steps),
            MetricsLog(output / EPOCHS_FILE, kept_steps),
            EventLog(output / FOLDER, kept_steps, attempt, time.time()),
        )

    def step(self, epoch: int, step: int, loss: float, rate: float) -> None:
        """Record a step; a loss that is no finite number becomes null."""
        known = loss if math.isfinite(loss) else None
        self.steps.write({"attempt": self.attempt, "epoch": epoch, "step": step, "loss": known, "lr": rate})
        self.events.scalars(step, {"train/loss": loss, "train/learningRate": rate}, time.time())

    def epoch(self, step: int, done: Epoch) -> None:
        """Record an epoch."""
        assert done.time is not None, "an epoch of this attempt was timed"
        self.epochs.write(
            {
                "attempt": self.attempt,
                "epoch": done.epoch,
                "step": step,
                "samplesPerSecond": done.samples_per_second,
                "seconds": asdict(done.time),
                "metrics": {name: value if math.isfinite(value) else None for name, value in done.metrics.items()},
            }
        )
        named = {f"validation/{name}": value for name, value in done.metrics.items()}
        self.events.scalars(step, {"train/samplesPerSecond": done.samples_per_second, **named}, time.time())

    def sync(self) -> None:
        """Make all that was recorded durable."""
        self.events.flush()
        for log in (self.steps, self.epochs):
            log.sync()

    def flush(self) -> None:
        """Let readers see what was recorded of steps."""
        self.steps.flush()

    def settle(self) -> None:
        """Hand what was recorded besides steps to the system, too, so that it outlives this process."""
        self.events.flush()
        self.epochs.flush()

    def deliver(self) -> None:
        """Let the storage take what was recorded, if it does in a while: at the end of a training that is complete."""
        for log in (self.steps, self.epochs):
            log.deliver()

    def close(self) -> None:
        """Nothing more is recorded."""
        for file in (self.steps, self.epochs, self.events):
            file.close()


def read_epochs(file: Path) -> tuple[Epoch, ...]:
    """The epochs that are on record."""
    return tuple(epoch_of(json.loads(line)) for line in file.read_text().splitlines())


def epoch_of(record: Mapping[str, Any]) -> Epoch:
    """An epoch from its record."""
    known = {name: value for name, value in record["metrics"].items() if value is not None}
    return Epoch(record["epoch"], record["samplesPerSecond"], known, TimeSplit(**record["seconds"]))
