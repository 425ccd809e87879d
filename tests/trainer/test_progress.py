"""What a rank tells its agent, and its log."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import tensor

from dltrain.api.progress import Shares
from dltrain.api.report import REPORT, CheckpointReport, ProgressReport, Report, ResultsReport
from dltrain.api.status import Results
from dltrain.api.train import Train
from dltrain.reporting import Reporter
from dltrain_trainer.progress import LINE_SECONDS, Progress, Training
from dltrain_trainer.report.data import TimeSplit
from dltrain_trainer.training.observer import StepDone, TrainingObserver
from tests.trainer.builders import SILENT

Rank = Callable[..., Progress]
NO_TIME = TimeSplit(0.0, 0.0, 0.0)


class Agent:
    """The receiving side of the report socket."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.setblocking(False)

    def received(self) -> list[Report]:
        reports: list[Report] = []
        while True:
            try:
                reports.append(REPORT.validate_json(self._socket.recv(65536)))
            except BlockingIOError:
                return reports

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    found = Agent(tmp_path / "reports")
    yield found
    found.close()


@pytest.fixture
def rank(agent: Agent) -> Iterator[Rank]:
    """Makes the progress of a rank."""
    with contextlib.ExitStack() as reporters:

        def make(number: int = 0) -> Progress:
            reporter = Reporter(str(agent.address), number)
            reporters.callback(reporter.close)
            reporter._last = -math.inf  # the first report is not held back, however young the machine's clock
            return Progress(reporter, number)

        yield make


def test_a_step_is_reported_with_its_place_in_the_training(agent: Agent, rank: Rank) -> None:
    mine = rank()
    mine.stage("train", epoch=2, epochs=5)
    mine.training(Training(7, 20, 0.25, 1234.56, 8.5, TimeSplit(7.0, 2.0, 1.0)))
    assert agent.received() == [
        ProgressReport(
            rank=0,
            stage="train",
            epoch=2,
            epochs=5,
            step=7,
            total=20,
            loss=0.25,
            samples_per_second=1234.6,
            eta_seconds=8.5,
            time_split=Shares(compute=0.7, communication=0.2, data=0.1),
        )
    ]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_left_out(agent: Agent, rank: Rank, loss: float) -> None:
    rank().training(Training(1, 2, loss, 1.0, None, NO_TIME))
    (report,) = agent.received()
    assert isinstance(report, ProgressReport)
    assert report.loss is None


def test_only_the_first_rank_reports_progress(agent: Agent, rank: Rank) -> None:
    mine = rank(1)
    mine.stage("train")
    mine.training(Training(20, 20, 0.25, 10.0, 0.0, NO_TIME))
    assert agent.received() == []


def test_a_later_stage_repeats_how_far_training_is(agent: Agent, rank: Rank) -> None:
    mine = rank()
    mine.training(Training(20, 20, 0.25, 10.0, 0.0, NO_TIME))
    mine.stage("evaluate")
    _, report = agent.received()
    assert report == ProgressReport(rank=0, stage="evaluate", step=20, total=20, loss=0.25)


def test_checkpoints_and_results_are_reported_whatever_was_reported_just_before(agent: Agent, rank: Rank) -> None:
    mine, results = rank(), Results(metrics={"accuracy": 0.5}, artifacts="/x")
    mine.checkpoint(7, Path("/x/step-00000007"))
    mine.checkpoint(8, Path("/x/step-00000008"))
    mine.results(results)
    assert agent.received() == [
        CheckpointReport(rank=0, step=7, path="/x/step-00000007"),
        CheckpointReport(rank=0, step=8, path="/x/step-00000008"),
        ResultsReport(rank=0, results=results),
    ]


def test_an_agent_that_is_gone_does_not_disturb_training(agent: Agent, rank: Rank) -> None:
    mine = rank()
    agent.close()
    agent.address.unlink()
    mine.training(Training(20, 20, 0.25, 10.0, 0.0, NO_TIME))
    mine.checkpoint(20, Path("/x"))


class Clock:
    """A clock that the test sets, from when the process was young."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def after(self, seconds: float) -> None:
        self.now += seconds


def test_progress_is_due_now_and_then_and_at_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, mine = Clock(monkeypatch), Progress(SILENT, 0)

    def due_after(seconds: float) -> bool:
        clock.after(seconds)
        return mine.due(final=False)

    assert [due_after(seconds) for seconds in (0, 0.1, 0.3, 0.2, 0.4, 0.2)] == [True, False, False, True, False, True]
    assert mine.due(final=True)


def test_where_nobody_takes_reports_progress_is_printed_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, clock = Progress(SILENT, 0), Clock(monkeypatch)
    for step, seconds in enumerate((0, 1, 3, 2, 4), start=1):
        clock.after(seconds)
        mine.training(Training(step, 9, 0.5, 1234.6, 100.0, NO_TIME))
    assert capsys.readouterr().out.splitlines() == [
        "step 1/9: loss 0.5000, 1235 samples/s, 1m40s left",
        "step 4/9: loss 0.5000, 1235 samples/s, 1m40s left",
    ]


@pytest.mark.parametrize(("loss", "said"), [(1.04e-5, "1.04e-05"), (31070000.0, "3.107e+07"), (0.94074, "0.9407")])
def test_a_printed_loss_has_the_digits_that_tell_it_from_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, loss: float, said: str
) -> None:
    mine, clock = Progress(SILENT, 0), Clock(monkeypatch)
    clock.after(LINE_SECONDS)
    mine.training(Training(1, 9, loss, 1.0, 8.0, NO_TIME))
    observer = TrainingObserver(Train(epochs=2), 9, mine, None)
    observer.epoch_starts(0)
    observer.step_done(StepDone(1, 1, tensor(loss), 0.1, 4, 4))
    epoch = observer.steps_end(0)
    observer.epoch_ends(1, epoch, {"mse": loss})
    assert capsys.readouterr().out.splitlines() == [
        f"step 1/9: loss {said}, 1 samples/s, 8s left",
        f"epoch 1/2: 4 samples in 0.0 s, loss {said}",
        f"epoch 1/2: mse {said} on the validation split",
    ]
