"""The commands, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import typer

from dltrain.cli import (
    authoring,
    catalogue,
    completion,
    doctor,
    files,
    insight,
    jobs,
    page,
    planning,
    predicting,
    running,
)
from dltrain.cli.commands import group_of
from dltrain.cli.say import MANNER

HELP: Final = """Train deep-learning models on Kubernetes, or on this machine.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or an invalid job, 3 the cluster refused or is out of reach,
4 the time is up, 130 interrupted."""

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "init": authoring.init,
    "validate": files.validate,
    "plan": planning.plan,
    "run": running.run,
    "submit": running.submit,
    "list": jobs.list_jobs,
    "status": jobs.status,
    "watch": insight.watch,
    "logs": jobs.logs,
    "explain": insight.explain,
    "events": insight.events,
    "top": insight.top,
    "artefacts": jobs.artefacts,
    "suspend": jobs.suspend,
    "resume": jobs.resume,
    "scale": jobs.scale,
    "delete": jobs.delete,
    "doctor": doctor.doctor,
    "diff": insight.diff,
    "convert": authoring.convert,
    "predict": predicting.predict,
    "models": catalogue.models,
    "transforms": catalogue.transforms,
    "ui": page.ui,
    "completion": completion.completion,
    "version": files.version,
}
app: Final = typer.Typer(
    cls=group_of(COMMANDS),
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        files.version()
        raise typer.Exit


@app.callback()
def options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what was asked for.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR=1 does the same.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does all
        bool, typer.Option("--version", help="Print the version.", callback=show_version)
    ] = False,
) -> None:
    """Options of the program itself."""
    MANNER.quiet, MANNER.colour = quiet, not no_color
