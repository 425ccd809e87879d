"""Commands that help to write jobs and need no cluster: init, convert."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dltrain.cli.say import say

if TYPE_CHECKING:
    from dltrain.starter import Wishes


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("job.yaml"),
    name: Annotated[str, typer.Option(metavar="NAME", help="The job's name. Default: my-job.")] = "",
    data: Annotated[
        str, typer.Option(metavar="SOURCE", help="The data: a named set or an address. Default: fashion-mnist.")
    ] = "",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The model; `dltrain models` lists them. Default: cnn.")
    ] = "",
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many pods. Default: 1.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, metavar="N", help="GPUs of each pod. Default: 0.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Passes over the data. Default: 2.")] = None,
    claim: Annotated[str, typer.Option(metavar="NAME", help="The volume claim for checkpoints and the model.")] = "",
    command: Annotated[str, typer.Option(metavar="WORDS", help="A program of your own instead of the pipeline.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented job file, by asking or by options.

    Example: dltrain init job.yaml --data fashion-mnist --model cnn --yes
    """
    from dltrain.api.parse import parse_job  # noqa: PLC0415 - the models take time to import
    from dltrain.starter import Wishes, starter  # noqa: PLC0415

    if file.exists() and not force:
        raise typer.BadParameter(f"{file} is there already; choose another name, or --force", param_hint="FILE")
    given: dict[str, Any] = {
        "name": name,
        "data": data,
        "model": model,
        "workers": workers,
        "gpus": gpus,
        "epochs": epochs,
    }
    given |= {"claim": claim, "command": command}
    wishes = replace(Wishes(), **{field: value for field, value in given.items() if value})
    if not yes and sys.stdin.isatty():
        wishes = asked(wishes, set(given) - {field for field, value in given.items() if value})
    text = starter(wishes).replace("FILE", str(file))
    parse_job(text)  # what the wishes make must be a job
    file.write_text(text, encoding="utf-8")
    say(f"wrote {file}; `dltrain run {file}` trains here, `dltrain submit {file}` on the cluster")


def asked(wishes: Wishes, open_fields: set[str]) -> Wishes:
    """The wishes after asking for what no option has said."""
    for field in fields(wishes):
        skipped = {"data", "model", "epochs"} if wishes.command else set()
        if field.name in open_fields - skipped:
            default = getattr(wishes, field.name)
            answer = typer.prompt(f"{field.name}", default=default, type=type(default), show_default=default != "")
            wishes = replace(wishes, **{field.name: answer})
    return wishes


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The MPIJob, PyTorchJob or TrainJob (YAML or JSON).")],
) -> None:
    """Turn an MPIJob, PyTorchJob or TrainJob into a DLTrainJob.

    It is printed; what has no counterpart is told on standard error.

    Example: dltrain convert mpijob.yaml
    """
    from dltrain.api.document import load_document  # noqa: PLC0415 - the models take time to import
    from dltrain.api.text import read_text  # noqa: PLC0415
    from dltrain.convert import convert as converted  # noqa: PLC0415

    found = converted(load_document(read_text(file)))
    typer.echo(found.job.to_yaml().rstrip())
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
