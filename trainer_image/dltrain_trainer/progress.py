"""What a rank says of its progress: reports to its agent, lines to its pod's log."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dltrain.api.progress import Bandwidth, RankUsage, Shares, Straggler
from dltrain.api.report import CheckpointReport, ProgressReport, ResultsReport
from dltrain.api.status import Results
from dltrain.durations import short_duration
from dltrain.formatting import metric_text
from dltrain.reporting import Reporter
from dltrain_trainer.report.data import TimeSplit

INTERVAL_SECONDS: Final = 0.5
"""Progress is worked out, and the losses of the steps since are read, this often."""
LINE_SECONDS: Final = 5.0
"""How often progress is printed where nobody takes reports."""


@dataclass(frozen=True, slots=True)
class Training:
    """How far training is."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    loss: float
    """The newest."""
    samples_per_second: float
    """Of all ranks together, in this epoch."""
    seconds_left: float | None
    """An estimate."""
    time: TimeSplit | None
    """Where time went lately, on this rank; None as long as too little is known."""


@dataclass
class Progress:
    """The progress of one rank; only the first reports."""

    reporter: Reporter
    rank: int
    stragglers: tuple[Straggler, ...] = ()
    """Ranks that hold the others up."""
    ranks: tuple[RankUsage, ...] = ()
    """What the first ranks use."""
    bandwidth: Bandwidth | None = None
    """How fast the ranks exchange data."""
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
            gone = dict.fromkeys(("samples_per_second", "eta_seconds", "time_split", "stragglers"))
            changes = {"stage": name, "bandwidth": self.bandwidth, **gone}
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

    def training(self, now: Training) -> None:
        """Report a training step."""
        if self.rank != 0:
            return
        report = ProgressReport(
            rank=0,
            stage=self._stage,
            epoch=self._epoch,
            epochs=self._epochs,
            step=now.step,
            total=now.steps,
            loss=now.loss if math.isfinite(now.loss) else None,
            samples_per_second=round(now.samples_per_second, 1),
            eta_seconds=now.seconds_left,
            time_split=now.time and shares_of(now.time),
            stragglers=self.stragglers or None,
            ranks=self.ranks or None,
            bandwidth=self.bandwidth,
        )
        self._newest = report
        self.reporter.progress(report)
        if not self.reporter.connected and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            left = short_duration(now.seconds_left or 0)
            speed = f"{now.samples_per_second:.0f} samples/s"
            self.say(f"step {now.step}/{now.steps}: loss {metric_text(now.loss)}, {speed}, {left} left")

    def checkpoint(self, step: int, folder: Path) -> None:
        """Report a checkpoint that is complete."""
        self.reporter.surely(CheckpointReport(rank=self.rank, step=step, path=str(folder)))

    def results(self, results: Results) -> None:
        """Report what the job produced."""
        self.reporter.surely(ResultsReport(rank=self.rank, results=results))


def shares_of(time: TimeSplit) -> Shares:
    """Where time went, as shares of it."""
    total = max(time.total, 1e-9)
    parts = (time.compute, time.communication, time.data)
    compute, communication, data = (round(part / total, 3) for part in parts)
    return Shares(compute=compute, communication=communication, data=data)
