"""How the command line talks: colours only where they are wanted, less with --quiet."""

import io
import re
import sys

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.cli.live import Display
from dltrain.cli.say import MANNER, painted, with_phases

RED = "\x1b[31mFailed\x1b[0m"
COLOUR = re.compile(r"\x1b\[[\d;]*3[\d;]+m")


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        """That it is."""
        return True


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment and options that say nothing of colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(MANNER, "colour", True)
    monkeypatch.setattr(MANNER, "quiet", False)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard output a terminal; called by the test itself, for pytest sets it anew after the fixtures."""
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    return made


def test_phases_are_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    assert with_phases("a Failed") == f"a {RED}"


@pytest.mark.parametrize("case", ["no terminal", "--no-color", "NO_COLOR"])
def test_where_colours_are_not_wanted_there_are_none(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    on_a_terminal(monkeypatch)
    if case == "no terminal":
        monkeypatch.setattr(sys, "stdout", io.StringIO())
    elif case == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.setattr(MANNER, "colour", False)
    assert (with_phases("a Failed"), painted("ok", "green")) == ("a Failed", "ok")


def test_an_empty_variable_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "")
    assert painted("Failed", "red") == RED


def display_of(monkeypatch: pytest.MonkeyPatch) -> str:
    """What a local run shows of one state."""
    terminal = on_a_terminal(monkeypatch)
    display = Display()
    with display.open():
        display.line("[rank 0] hello")
        progress = {"stage": "train", "step": 5, "steps": 10}
        display.status(GroupStatus.model_validate({"state": "running", "progress": progress}))
    return terminal.getvalue()


def test_a_local_run_has_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert COLOUR.search(display_of(monkeypatch))


def test_a_local_run_has_no_colours_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MANNER, "colour", False)
    shown = display_of(monkeypatch)
    assert ("train" in shown, COLOUR.search(shown)) == (True, None)


def test_quiet_leaves_out_the_output_of_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hello" in display_of(monkeypatch)
    monkeypatch.setattr(MANNER, "quiet", True)
    assert "hello" not in display_of(monkeypatch)
