"""Commands that help to write jobs and need no cluster: init, convert."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dltrain.cli import wishes as options
from dltrain.cli.say import say

if TYPE_CHECKING:
    from dltrain.starter import Wishes


QUESTIONS: Final = {
    "name": "The job's name",
    "command": "A program of your own (empty: dltrain's pipeline)",
    "data": "The data: a named set or an address",
    "format": "What is at that address: idx, npz, image-folder, csv or parquet",
    "target": "The columns to predict, with commas between them",
    "task": "What is learnt: classification, regression or multilabel",
    "model": "The model",
    "epochs": "Passes over the data",
    "workers": "How many pods",
    "gpus": "GPUs of each pod",
    "claim": "The volume claim for checkpoints and the model (empty: none)",
}
"""What is asked about each wish, in this order."""
OF_A_PIPELINE: Final = ("data", "format", "target", "task", "model", "epochs")
SETTLED_BY: Final = {
    "spec.pipeline.data.format": {"data", "format"},
    "spec.pipeline.data.target": {"data", "format", "target"},
    "spec.pipeline.data.task": {"data", "format", "task"},
}
"""Field of a job -> the wishes that decide whether it may, or must, be there."""


def init(
    file: options.File = Path("job.yaml"),
    name: options.Name = "",
    data: options.Data = "",
    data_format: options.DataFormat = None,
    target: options.Target = "",
    task: options.Task = None,
    model: options.Model = "",
    workers: options.Workers = None,
    gpus: options.Gpus = None,
    epochs: options.Epochs = None,
    claim: options.Claim = "",
    command: options.Command = "",
    yes: options.Yes = False,
    force: options.Force = False,
) -> None:
    """Write a commented job file, by asking or by options.

    Example: dltrain init job.yaml --data fashion-mnist --model cnn --yes
    """
    from dltrain.starter import Wishes, starter  # noqa: PLC0415 - the models take time to import

    if file.exists() and not force:
        raise typer.BadParameter(f"{file} is there already; choose another name, or --force", param_hint="FILE")
    of_data = {"data": data, "format": data_format, "target": target, "task": task}
    of_work = {"name": name, "command": command, "model": model, "epochs": epochs}
    of_place = {"workers": workers, "gpus": gpus, "claim": claim}
    every: dict[str, Any] = {**of_data, **of_work, **of_place}
    given = {field: value for field, value in every.items() if value not in ("", None)}
    open_fields = [] if yes or not sys.stdin.isatty() else [field for field in QUESTIONS if field not in given]
    wishes = Wishes(**given)
    check(wishes, str(file), open_fields)  # what the options make must be a job
    file.write_text(starter(asked(wishes, str(file), open_fields), str(file)), encoding="utf-8")
    in_shell = shlex.quote(str(file))
    say(f"wrote {file}; `dltrain run {in_shell}` trains here, `dltrain submit {in_shell}` on the cluster")


def check(wishes: Wishes, file: str, open_fields: Sequence[str]) -> None:
    """See that wishes make a job, but for what is still to be asked.

    Args:
        wishes: what is wished so far.
        file: where the job will be.
        open_fields: what is still to be asked.

    Raises:
        SpecError: they do not; holds the problems that no further answer can solve.
    """
    from dltrain.api.parse import parse_job  # noqa: PLC0415 - the models take time to import
    from dltrain.errors import SpecError  # noqa: PLC0415
    from dltrain.starter import starter  # noqa: PLC0415

    try:
        parse_job(starter(wishes, file))
    except SpecError as error:
        coming = [field for field in open_fields if makes_sense(field, wishes)]
        lasting = [each for each in error.problems if SETTLED_BY.get(each.path, set()).isdisjoint(coming)]
        if lasting:
            raise SpecError(lasting) from error


def asked(wishes: Wishes, file: str, open_fields: Sequence[str]) -> Wishes:
    """The wishes after asking for what no option has said."""
    for position, field in enumerate(open_fields, 1):
        if makes_sense(field, wishes):
            wishes = answered(wishes, field, file, open_fields[position:])
    return wishes


def makes_sense(field: str, wishes: Wishes) -> bool:
    """Whether a field can be asked for after the answers so far."""
    from dltrain.starter import TASK_IS_SAID, completed  # noqa: PLC0415 - the models take time to import

    if wishes.command and field in OF_A_PIPELINE:
        return False
    known = completed(wishes)
    fits = {"format": known.has_address, "target": known.has_table, "task": known.format in TASK_IS_SAID}
    return fits.get(field, True)


def answered(wishes: Wishes, field: str, file: str, open_fields: Sequence[str]) -> Wishes:
    """The wishes after one question, which is put again until the answer makes a job."""
    from dltrain.errors import SpecError  # noqa: PLC0415 - the models take time to import
    from dltrain.starter import completed  # noqa: PLC0415

    default = getattr(completed(wishes), field)
    while True:
        answer = typer.prompt(QUESTIONS[field], default=default, type=type(default), show_default=default != "")
        made = replace(wishes, **{field: answer})
        try:
            check(made, file, open_fields)
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
