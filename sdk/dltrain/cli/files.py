"""Commands that need no cluster and run nothing: validate, version."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

import dltrain
from dltrain.api.parse import parse_job_file
from dltrain.cli.exits import INVALID
from dltrain.errors import SpecError


def validate(files: Annotated[list[Path], typer.Argument(help="Job files.", show_default=False)]) -> None:
    """Check job files and print every problem found.

    Example: dltrain validate job.yaml
    """
    valid = True
    for file in files:
        try:
            job = parse_job_file(file)
        except SpecError as error:
            valid = False
            for problem in error.problems:
                typer.echo(f"{file}: {problem}", err=True)
        else:
            typer.echo(f"{file}: {job.name} is valid: {job.spec.workers.world_size} ranks")
    if not valid:
        raise typer.Exit(INVALID)


def version() -> None:
    """Print the version.

    Example: dltrain version
    """
    typer.echo(f"dltrain {dltrain.__version__}, Python {platform.python_version()}")
