"""What a rank says of its progress: reports to its agent, lines to its pod's log."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dltrain.api.report import CheckpointReport, ProgressReport, ResultsReport
from dltrain.api.status import Results
from dltrain.durations import short_duration
from dltrain.reporting import Reporter

INTERVAL_SECONDS: Final = 0.5
"""Progress is worked out, and the losses of the steps since are read, this often."""
LINE_SECONDS: Final = 5.0
"""How often progress is printed where nobody takes reports."""


@dataclass
class Progress:
    """The progress of one rank; only the first reports."""

    reporter: Reporter
    rank: int
    _stage: str = ""
    _epoch: int | None = None
    _epochs: int | None = None
    _newest: ProgressReport | None = None
    """The newest report of training: later stages repeat how far it is."""
    _next: float = 0.0
    _next_line: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Print a line to the log."""
        print(line, flush=True)  # noqa: T201 - this is the log

    def stage(self, name: str, epoch: int | None = None, epochs: int | None = None) -> None:
        """A stage, or an epoch of one, begins."""
        self._stage, self._epoch, self._epochs = name, epoch, epochs
        if self.rank == 0 and epoch is None:
            known = self._newest or ProgressReport(rank=0)
            changes = {"stage": name, "samples_per_second": None, "eta_seconds": None}
            self.reporter.progress(known.model_copy(update=changes))

    def due(self, *, final: bool) -> bool:
        """Whether progress is to be reported now.

        Args:
            final: whether this is the last step of all.
        """
        now = time.monotonic()
        if now < self._next and not final:
            return False
        self._next = now + INTERVAL_SECONDS
        return True

    def training(
        self, step: int, steps: int, loss: float, samples_per_second: float, seconds_left: float | None
    ) -> None:
        """Report a training step.

        Args:
            step: steps done.
            steps: steps in all.
            loss: the newest.
            samples_per_second: of all ranks together.
            seconds_left: an estimate.
        """
        if self.rank != 0:
            return
        report = ProgressReport(
            rank=0,
            stage=self._stage,
            epoch=self._epoch,
            epochs=self._epochs,
            step=step,
            total=steps,
            loss=loss if math.isfinite(loss) else None,
            samples_per_second=round(samples_per_second, 1),
            eta_seconds=seconds_left,
        )
        self._newest = report
        self.reporter.progress(report)
        if not self.reporter.connected and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            left = short_duration(seconds_left or 0)
            self.say(f"step {step}/{steps}: loss {loss:.4f}, {samples_per_second:.0f} samples/s, {left} left")

    def checkpoint(self, step: int, folder: Path) -> None:
        """Report a checkpoint that is complete."""
        self.reporter.surely(CheckpointReport(rank=self.rank, step=step, path=str(folder)))

    def results(self, results: Results) -> None:
        """Report what the job produced."""
        self.reporter.surely(ResultsReport(rank=self.rank, results=results))
