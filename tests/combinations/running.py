"""Runs a job in this process, to its end or until it is stopped."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dltrain.api.job import DLTrainJob
from dltrain.errors import SpecError
from dltrain.pulse import Pulse
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.errors import ToldToEndError, TrainerError
from dltrain_trainer.run import Run
from dltrain_trainer.stages import stages_of
from tests.trainer.builders import new_run

Way = Literal["told", "killed"]
"""How a training is stopped: with a signal, or without one."""


class KilledError(Exception):
    """Stands for what nobody can catch: the training is gone after a step."""


@dataclass(frozen=True, slots=True)
class Stop:
    """When and how a training is stopped."""

    step: int
    way: Way


class StoppingPulse(Pulse):
    """What a rank tells its agent of every step; the agent stops it."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(None)
        self._stop = stop

    def beat(self, about: int, step: int | None = None) -> None:
        """Say how far this rank is; it may be its last word."""
        super().beat(about, step)
        if step != self._stop.step:
            return
        if self._stop.way == "killed":
            raise KilledError
        signal.raise_signal(signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job has ended."""

    run: Run
    output: Path
    refused: str = ""
    """What was said, where it could not be done."""
    stopped: bool = False

    @property
    def done(self) -> bool:
        """Whether it has come to its end."""
        return not self.refused and not self.stopped


def ended(
    job: DLTrainJob,
    output: Path,
    communicator: Communicator | None = None,
    *,
    attempt: int = 1,
    stop: Stop | None = None,
) -> Ending:
    """Run every stage of a job.

    Raises:
        Exception: anything but what the trainer tells its users with.
    """
    run = new_run(job, output, communicator, attempt)
    run.fail_on_nan = job.spec.guards.fail_on_nan
    if stop:
        run.pulse = StoppingPulse(stop)
    with deaf_to_sigterm(), contextlib.redirect_stdout(io.StringIO()):
        try:
            for name, stage in stages_of(run.pipeline).items():
                run.progress.stage(name)
                stage(run)
        except (TrainerError, SpecError) as error:
            return Ending(run, output, refused=str(error) or "nothing")
        except (ToldToEndError, KilledError):
            return Ending(run, output, stopped=True)
    return Ending(run, output)


@contextlib.contextmanager
def deaf_to_sigterm() -> Iterator[None]:
    """Let a signal that comes too late for a training, which hands it on, do nothing."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The lines of a log, but for what differs between any two runs."""
    varying = {"attempt", "samplesPerSecond", "seconds"}
    lines = map(json.loads, file.read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in varying} for line in lines]
