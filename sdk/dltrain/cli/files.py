"""Commands that need no cluster and run nothing: validate, version."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

import dltrain
from dltrain.cli.exits import INVALID
from dltrain.cli.options import Profile
from dltrain.errors import SpecError


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Files of jobs or profiles (YAML or JSON).", show_default=False)
    ],
    profile: Profile = None,
) -> None:
    """Check files of jobs or profiles and print every problem found.

    Example: dltrain validate job.yaml
    """
    from dltrain.profiles import verdict  # noqa: PLC0415 - the models take time to import

    valid = True
    for file in files:
        try:
            said, notes = verdict(file, profile)
        except SpecError as error:
            valid = False
            for problem in error.problems:
                typer.echo(f"{file}: {problem}", err=True)
        else:
            typer.echo(f"{file}: valid: {said}")
            for note in notes:
                typer.echo(f"{file}: only with a DLTrainProfile that allows it: {note}", err=True)
    if not valid:
        raise typer.Exit(INVALID)


def version() -> None:
    """Print the version.

    Example: dltrain version
    """
    typer.echo(f"dltrain {dltrain.__version__}, Python {platform.python_version()}")
