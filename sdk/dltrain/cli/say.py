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
    typer.echo(with_phases(text))


def with_phases(text: str) -> str:
    """A text with its phases in colour, where colours are wanted."""
    for phase, colour in COLOURS.items():
        text = text.replace(f" {phase}", f" {painted(phase, colour)}")
    return text


def painted(text: str, colour: str) -> str:
    """A text in a colour, where colours are wanted."""
    return typer.style(text, fg=colour) if in_colour() else text


def in_colour() -> bool:
    """Whether colours are wanted: on a terminal, unless an option or the environment says otherwise."""
    return MANNER.colour and not os.environ.get("NO_COLOR") and sys.stdout.isatty()
