"""Telling the agent how far a rank is: datagrams on a Unix socket, or nothing at all."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dltrain
from dltrain import reporting
from dltrain.api.report import REPORT, CheckpointReport, ProgressReport, ResultsReport
from dltrain.api.status import Results
from dltrain.names import RANK_VARIABLE, REPORT_VARIABLE
from dltrain.reporting import Reporter


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[socket.socket]:
    """The agent's end: a datagram socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "reports"))
        listener.settimeout(5)
        yield listener


@pytest.fixture
def inside(agent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of rank 3."""
    monkeypatch.setenv(REPORT_VARIABLE, agent.getsockname())
    monkeypatch.setenv(RANK_VARIABLE, "3")
    monkeypatch.setattr(reporting, "_reporter", None)
    yield
    reporting.reporter().close()


@pytest.fixture
def reporter(agent: socket.socket) -> Iterator[Reporter]:
    """The reporter of rank 0."""
    reporter = Reporter(agent.getsockname(), 0)
    yield reporter
    reporter.close()


def received(agent: socket.socket) -> Any:
    """The next report."""
    return REPORT.validate_json(agent.recv(1 << 16))


def is_silent(agent: socket.socket) -> bool:
    """Whether no report is waiting."""
    agent.setblocking(False)
    with pytest.raises(BlockingIOError):
        agent.recv(1)
    return True


def test_outside_a_job_a_report_does_nothing() -> None:
    script = "import dltrain; dltrain.report(step=1, total=2, loss=0.5); print('on it goes')"
    outside = {name: value for name, value in os.environ.items() if name != REPORT_VARIABLE}
    strictly = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(strictly, capture_output=True, text=True, check=True, env=outside)
    assert (done.stdout, done.stderr) == ("on it goes\n", "")


@pytest.mark.usefixtures("inside")
def test_inside_a_job_a_report_is_one_datagram_with_the_rank(agent: socket.socket) -> None:
    dltrain.report(step=5, total=20, loss=0.25)
    assert json.loads(agent.recv(1 << 16)) == {
        "type": "progress",
        "rank": 3,
        "stage": "command",
        "step": 5,
        "total": 20,
        "loss": 0.25,
    }


@pytest.mark.usefixtures("inside")
def test_a_loss_may_be_anything_that_is_a_number(agent: socket.socket) -> None:
    class Tensor:
        def __float__(self) -> float:
            return 0.5

    dltrain.report(step=1, loss=Tensor())
    assert received(agent) == ProgressReport(rank=3, step=1, loss=0.5)


@pytest.mark.usefixtures("inside")
def test_a_loss_that_is_no_number_any_more_does_not_stop_the_training(agent: socket.socket) -> None:
    dltrain.report(step=1, loss=float("nan"))
    assert received(agent) == ProgressReport(rank=3, step=1)


def test_reports_in_quick_succession_are_dropped_but_for_the_last_step(
    agent: socket.socket, reporter: Reporter
) -> None:
    for step in range(1, 101):
        reporter.progress(ProgressReport(rank=0, step=step, total=100))
    assert [received(agent).step, received(agent).step] == [1, 100]
    assert is_silent(agent)


def test_progress_is_reported_again_after_a_while(
    agent: socket.socket, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([10.0, 10.1, 10.3])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    for step in (1, 2, 3):
        reporter.progress(ProgressReport(rank=0, step=step, total=9))
    assert [received(agent).step, received(agent).step] == [1, 3]


def test_checkpoints_and_results_are_never_dropped(agent: socket.socket, reporter: Reporter) -> None:
    checkpoint = CheckpointReport(rank=0, step=5, path="/storage/a/step-5")
    results = ResultsReport(rank=0, results=Results(metrics={"accuracy": 0.9}))
    reporter.surely(checkpoint)
    reporter.surely(checkpoint)
    reporter.surely(results)
    assert [received(agent) for _ in range(3)] == [checkpoint, checkpoint, results]


def test_an_agent_that_has_gone_does_not_stop_the_training(agent: socket.socket, reporter: Reporter) -> None:
    agent.close()
    Path(agent.getsockname() if agent.fileno() >= 0 else reporter._address).unlink()
    reporter.progress(ProgressReport(rank=0, step=1))


def test_a_busy_agent_never_blocks_a_progress_report(agent: socket.socket, reporter: Reporter) -> None:
    for _ in range(2000):  # more than any socket holds unread
        reporter._last = -1.0
        reporter.progress(ProgressReport(rank=0, step=1))
    assert received(agent).step == 1
