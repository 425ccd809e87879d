"""The display of a local run where the output is no ordinary terminal: plain lines, few, and some at all."""

import io
import sys
from collections.abc import Sequence
from typing import Any, Final

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.cli.live import SILENT_SECONDS, Display
from tests.sdk.test_manner import Terminal

TRAIN: Final[dict[str, Any]] = {"stage": "train", "epoch": 1, "epochs": 1}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """What it shows."""
        return self.seconds


def running(**progress: Any) -> GroupStatus:
    """A state with some progress."""
    return GroupStatus.model_validate({"state": "running", "progress": {"stage": "command", **progress}})


def shown(capsys: pytest.CaptureFixture[str], states: Sequence[tuple[float, GroupStatus]]) -> list[str]:
    """The lines that states make, each of which comes some seconds after the one before."""
    clock = Clock()
    display = Display(clock=clock)
    for seconds, state in states:
        clock.seconds += seconds
        display.status(state)
    return capsys.readouterr().out.splitlines()


def test_progress_without_a_terminal_is_told_at_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    states = [(0.1, running(**TRAIN, percent=step, summary=f"{step}%")) for step in range(101)]
    lines = shown(capsys, [*states, (0.1, GroupStatus(state="succeeded"))])
    assert [line.rpartition(" ")[2] for line in lines] == [f"{ten}%" for ten in range(0, 101, 10)]


def test_progress_of_nobody_knows_how_many_steps_is_told_at_once_every_minute_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = [(1.0, running(step=step, loss=1 / step)) for step in range(1, 131)]
    last = states[-1][1].model_copy(update={"state": "succeeded"})
    assert shown(capsys, [*states, (1.0, last)]) == [
        "command  step 1  loss 1",
        "command  step 61  loss 0.01639",
        "command  step 121  loss 0.008264",
        "command  step 130  loss 0.007692",
    ]


def test_within_a_tenth_something_is_said_every_minute_while_there_is_news(capsys: pytest.CaptureFixture[str]) -> None:
    def at(step: int) -> GroupStatus:
        return running(**TRAIN, step=step, steps=10_000, percent=0, summary="0%")

    states = [(1, at(1)), (SILENT_SECONDS - 1, at(2)), (1, at(3)), (SILENT_SECONDS, at(3)), (1, at(4)), (1, at(5))]
    empty = "." * 30
    assert shown(capsys, states) == [f"train  epoch 1/1  [{empty}] 0%"] * 3
    assert shown(capsys, states[:4]) == [f"train  epoch 1/1  [{empty}] 0%"] * 2


def test_a_script_that_tells_the_loss_only_and_one_that_tells_the_step_only(capsys: pytest.CaptureFixture[str]) -> None:
    losses = [(SILENT_SECONDS, running(loss=loss)) for loss in (2.0, 1.5, 1.5)]
    assert shown(capsys, losses) == ["command  loss 2", "command  loss 1.5"]
    assert shown(capsys, [(SILENT_SECONDS, running(step=step)) for step in (1, 2, 2)]) == [
        "command  step 1",
        "command  step 2",
    ]


def all_output(monkeypatch: pytest.MonkeyPatch, output: io.StringIO) -> str:
    """Everything that a display writes of a line and two states."""
    monkeypatch.setattr(sys, "stdout", output)
    display = Display()
    with display.open():
        display.line("[rank 0] hello")
        display.status(running(step=5, steps=10, percent=50, summary="50%", loss=0.5))
        display.status(running(step=10, steps=10, percent=100, summary="100%", loss=0.25))
    return output.getvalue()


PLAIN: Final = f"[rank 0] hello\ncommand  [{'#' * 15}{'.' * 15}] 50%  loss 0.5\ncommand  [{'#' * 30}] 100%  loss 0.25\n"


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_log_has_no_animation_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(name, "1")
    assert all_output(monkeypatch, io.StringIO()) == PLAIN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("TERM", "dumb", id="dumb"),
        pytest.param("TERM", "unknown", id="unknown"),
        pytest.param("TTY_COMPATIBLE", "0", id="by its own word"),
    ],
)
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for each in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(name, value)
    assert all_output(monkeypatch, Terminal()) == PLAIN
