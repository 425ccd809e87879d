"""What is told of a training while it goes on: records, progress reports, a line an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

from dltrain.api.train import Train
from dltrain.formatting import metric_text, metrics_line
from dltrain.pulse import IDLE, WORKS, Pulse
from dltrain_trainer.errors import DivergedError
from dltrain_trainer.progress import Progress, Training
from dltrain_trainer.report.data import Epoch, TimeSplit
from dltrain_trainer.training.records import Records

TELLING_SECONDS: Final = 3.0
"""Where the time of less than this went says nothing: the first batches are never ready."""

DIVERGED: Final = (
    "lower spec.pipeline.train.optimizer.lr, warm it up or clip gradients (clipNorm); guards.failOnNaN: false trains on"
)
"""What to do about a loss that is no number."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimizer step."""

    epoch: int
    """From 1."""
    step: int
    """Steps done so far."""
    loss: Tensor
    """The global batch's mean loss, a scalar."""
    rate: float
    """The learning rate used."""
    samples: int
    """This rank's."""
    total: int
    """All ranks'."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that this rank's training has waited so far."""

    data: float = 0.0
    communication: float = 0.0

    def since(self, start: Waits, elapsed: float) -> TimeSplit:
        """Where the time since an earlier moment went."""
        data, communication = self.data - start.data, self.communication - start.communication
        return TimeSplit(max(0.0, elapsed - data - communication), communication, data)


@dataclass
class TrainingObserver:
    """Told by the loop of every step; keeps losses as tensors for a while, so that no step waits for one."""

    train: Train
    steps: int
    """Optimizer steps of the whole training."""
    progress: Progress
    records: Records | None
    """None on every rank but the first."""
    pulse: Pulse = field(default_factory=lambda: Pulse(None))
    """What the agent is told of every step."""
    fail_on_nan: bool = False
    """Whether a loss that is no finite number ends the training."""
    waits: Callable[[], Waits] = Waits
    """How long the training has waited so far."""
    stage: str = "train"
    """The stage of the pipeline that it belongs to."""
    _pending: list[StepDone] = field(default_factory=list)
    _samples: int = 0
    _all_samples: int = 0
    _since: float = 0.0
    _waits: Waits = field(default_factory=Waits)
    _newest: float = float("nan")
    _split: TimeSplit | None = None
    """Where time went, of the newest epoch that has lasted long enough to say."""

    def epoch_starts(self, epoch: int) -> None:
        """An epoch begins; it is counted from 0."""
        self.pulse.beat(WORKS)
        self._samples, self._all_samples, self._since, self._waits = 0, 0, time.monotonic(), self.waits()
        self.progress.stage(self.stage, epoch=epoch + 1, epochs=self.train.epochs)

    def step_done(self, done: StepDone) -> None:
        """An optimizer step is done."""
        self.pulse.beat(WORKS, done.step)
        self._samples += done.samples
        self._all_samples += done.total
        self._pending.append(done)
        if self.progress.due(final=done.step == self.steps):
            speed, split = self._so_far()
            left = (self.steps - done.step) * self.train.global_batch_size / speed
            self._split = split if split.total >= TELLING_SECONDS else self._split
            self.progress.training(Training(done.step, self.steps, self._write(), speed, left, self._split))

    def steps_end(self, epoch: int) -> Epoch:
        """The steps of an epoch are done: each rank says so in its own pod's log.  What is known of the epoch."""
        self.pulse.beat(IDLE)
        newest, seconds = self._write(), time.monotonic() - self._since
        speed, split = self._so_far()
        told = f"{self._samples} samples in {seconds:.1f} s, loss {metric_text(newest)}"
        self.progress.say(f"epoch {epoch + 1}/{self.train.epochs}: {told}")
        return Epoch(epoch + 1, speed, {}, split)

    def settle(self) -> None:
        """Put the steps done so far on record: before a snapshot that says they are done, and outlives this process."""
        self._write()
        if self.records is not None:
            self.records.settle()

    def make_durable(self) -> None:
        """Put the steps done so far on record for good: before a checkpoint that says they are done."""
        self._write()
        if self.records is not None:
            self.records.sync()

    def epoch_ends(self, step: int, done: Epoch, metrics: Mapping[str, float]) -> None:
        """An epoch is over: a step that a checkpoint has done is on record first.

        Args:
            step: optimizer steps done.
            done: what `steps_end` gave.
            metrics: of the validation split.
        """
        if self.records is not None:
            self.records.epoch(step, Epoch(done.epoch, done.samples_per_second, metrics, done.time))
        if metrics and self.progress.rank == 0:
            said = metrics_line(metrics)
            self.progress.say(f"epoch {done.epoch}/{self.train.epochs}: {said} on the validation split")

    def _so_far(self) -> tuple[float, TimeSplit]:
        """Samples a second of all ranks in this epoch, and where its time went."""
        elapsed = max(time.monotonic() - self._since, 1e-9)
        return self._all_samples / elapsed, self.waits().since(self._waits, elapsed)

    def _write(self) -> float:
        """Record what is pending; the newest loss."""
        for done in self._pending:
            self._newest = float(done.loss)
            if self.fail_on_nan and not math.isfinite(self._newest):
                raise DivergedError(f"the loss of step {done.step} is {self._newest}; {DIVERGED}")
            if self.records is not None:
                self.records.step(done.epoch, done.step, self._newest, done.rate)
        if self.records is not None:
            self.records.flush()
        self._pending = []
        return self._newest
