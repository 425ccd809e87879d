"""What others get to see of training: the metrics log, progress reports, a line an epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from torch import Tensor

from dltrain.api.pipeline import Train
from dltrain_trainer.progress import Progress
from dltrain_trainer.training.metrics_log import MetricsLog


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


@dataclass
class TrainingObserver:
    """Told by the loop of every step; keeps losses as tensors for a while, so that no step waits for one."""

    train: Train
    steps: int
    """Optimizer steps of the whole training."""
    progress: Progress
    log: MetricsLog | None
    """None on every rank but the first."""
    _pending: list[StepDone] = field(default_factory=list)
    _samples: int = 0
    _all_samples: int = 0
    _since: float = 0.0
    _newest: float = float("nan")

    def epoch_starts(self, epoch: int) -> None:
        """An epoch begins."""
        self._samples, self._all_samples, self._since = 0, 0, time.monotonic()
        self.progress.stage("train", epoch=epoch + 1, epochs=self.train.epochs)

    def step_done(self, done: StepDone) -> None:
        """An optimizer step is done."""
        self._samples += done.samples
        self._all_samples += done.total
        self._pending.append(done)
        if self.progress.due(final=done.step == self.steps):
            speed = self._all_samples / max(time.monotonic() - self._since, 1e-9)
            left = (self.steps - done.step) * self.train.global_batch_size / speed
            self.progress.training(done.step, self.steps, self._write(), speed, left)

    def epoch_ends(self, epoch: int) -> None:
        """An epoch is done: each rank says so in its own pod's log."""
        newest = self._write()
        if self.log is not None:
            self.log.sync()
        seconds = time.monotonic() - self._since
        self.progress.say(
            f"epoch {epoch + 1}/{self.train.epochs}: {self._samples} samples in {seconds:.1f} s, loss {newest:.4f}"
        )

    def _write(self) -> float:
        """Record what is pending; the newest loss."""
        for done in self._pending:
            self._newest = float(done.loss)
            if self.log is not None:
                self.log.step(done.epoch, done.step, self._newest, done.rate)
        if self.log is not None:
            self.log.flush()
        self._pending = []
        return self._newest
