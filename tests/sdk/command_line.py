"""Running the command line inside the test's process, as the program `dltrain` would."""

import sys
from dataclasses import dataclass

import pytest

from dltrain.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs `dltrain` commands with options that every one of them gets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> None:
        self._monkeypatch, self._capsys, self._options = monkeypatch, capsys, options

    def __call__(self, *arguments: str) -> Done:
        """Run one command."""
        self._monkeypatch.setattr(sys, "argv", ["dltrain", *arguments, *self._options])
        with pytest.raises(SystemExit) as ended:
            main()
        told = self._capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)
