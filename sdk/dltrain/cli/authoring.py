"""Commands that help to write jobs and need no cluster: init, convert."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dltrain.cli.say import say

if TYPE_CHECKING:
    from dltrain.starter import Wishes


QUESTIONS: Final = {
    "name": "The job's name",
    "command": "A program of your own (empty: dltrain's pipeline)",
    "data": "The data: a named set or an address",
    "model": "The model",
    "epochs": "Passes over the data",
    "workers": "How many pods",
    "gpus": "GPUs of each pod",
    "claim": "The volume claim for checkpoints and the model (empty: none)",
}
"""What is asked about each wish, in this order."""
OF_A_PIPELINE: Final = ("data", "model", "epochs")


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
    parse_job(starter(wishes))  # what the options make must be a job
    if not yes and sys.stdin.isatty():
        wishes = asked(wishes, [field for field in QUESTIONS if not given[field]])
    text = starter(wishes).replace("FILE", str(file))
    file.write_text(text, encoding="utf-8")
    say(f"wrote {file}; `dltrain run {file}` trains here, `dltrain submit {file}` on the cluster")


def asked(wishes: Wishes, open_fields: Sequence[str]) -> Wishes:
    """The wishes after asking for what no option has said."""
    for field in open_fields:
        if not (wishes.command and field in OF_A_PIPELINE):
            wishes = answered(wishes, field)
    return wishes


def answered(wishes: Wishes, field: str) -> Wishes:
    """The wishes after one question, which is put again until the answer makes a job."""
    from dltrain.api.parse import parse_job  # noqa: PLC0415 - the models take time to import
    from dltrain.errors import SpecError  # noqa: PLC0415
    from dltrain.starter import starter  # noqa: PLC0415

    default = getattr(wishes, field)
    while True:
        answer = typer.prompt(QUESTIONS[field], default=default, type=type(default), show_default=default != "")
        made = replace(wishes, **{field: answer})
        try:
            parse_job(starter(made))
        except SpecError as error:
            typer.echo(f"  {error}", err=True)
        else:
            return made


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
