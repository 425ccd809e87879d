"""Commands that need no cluster and run nothing: validate, version."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

import dltrain
from dltrain.cli.exits import INVALID
from dltrain.errors import SpecError


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="The job files (YAML or JSON).", show_default=False)
    ],
) -> None:
    """Check job files and print every problem found.

    Example: dltrain validate job.yaml
    """
    from dltrain.api.parse import parse_job_file  # noqa: PLC0415 - the models take time to import

    valid = True
    for file in files:
        try:
            job = parse_job_file(file)
        except SpecError as error:
            valid = False
            for problem in error.problems:
                typer.echo(f"{file}: {problem}", err=True)
        else:
            ranks = job.spec.workers.world_size
            typer.echo(
                f"{file}: valid: {job.name or f'{job.metadata.generate_name}...'}, {ranks} rank{'s' * (ranks > 1)}"
            )
    if not valid:
        raise typer.Exit(INVALID)


def version() -> None:
    """Print the version.

    Example: dltrain version
    """
    typer.echo(f"dltrain {dltrain.__version__}, Python {platform.python_version()}")
