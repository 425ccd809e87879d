"""What commands say to people: less with --quiet, without colours with --no-color or where no terminal is."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

import typer

COLOURS: Final = {
    "Succeeded": "green",
    "Running": "cyan",
    "Failed": "red",
    "Restarting": "yellow",
    "Suspended": "yellow",
}


@dataclass
class Manner:
    """How this run of the program talks."""

    quiet: bool = False
    colour: bool = True


MANNER: Final = Manner()
"""Set once, from the options of the program."""


def say(text: str) -> None:
    """Tell that something was done; nothing with --quiet."""
    if not MANNER.quiet:
        typer.echo(text)


def show(text: str) -> None:
    """Print what was asked for, with its phases in colour on a terminal."""
    if MANNER.colour and "NO_COLOR" not in os.environ and sys.stdout.isatty():
        for phase, colour in COLOURS.items():
            text = text.replace(f" {phase}", f" {typer.style(phase, fg=colour)}")
    typer.echo(text)
