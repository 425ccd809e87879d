"""The commands, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import typer

from dltrain.cli import catalogue, files, jobs, running

HELP: Final = """Train deep-learning models on Kubernetes, or on this machine.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or an invalid job, 3 the cluster refused or is out of reach,
4 the time is up, 130 interrupted."""

app: Final = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "run": running.run,
    "submit": running.submit,
    "list": jobs.list_jobs,
    "status": jobs.status,
    "logs": jobs.logs,
    "suspend": jobs.suspend,
    "resume": jobs.resume,
    "delete": jobs.delete,
    "validate": files.validate,
    "models": catalogue.models,
    "transforms": catalogue.transforms,
    "version": files.version,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        files.version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=show_version)] = False,
) -> None:
    """Options of the program itself."""
