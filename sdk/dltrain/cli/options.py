"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dltrain.client import Client

File = Annotated[Path, typer.Argument(metavar="FILE", help="The job file (YAML or JSON).", show_default=False)]


def job_names(incomplete: str) -> list[str]:
    """The names of jobs that begin so, for the shell's completion; none where the cluster does not answer."""
    from dltrain.client import Client  # noqa: PLC0415 - it costs half a second
    from dltrain.errors import DLTrainError  # noqa: PLC0415

    try:
        return [job.name for job in Client().list() if job.name.startswith(incomplete)]
    except DLTrainError:
        return []


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The job's name.", show_default=False, autocompletion=job_names)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the file, spec.FIELD=VALUE; may be repeated."),
]
Profile = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FILE", help="The DLTrainProfile that the job is to get (YAML or JSON)."),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="The namespace. Default: the kubeconfig's current one."),
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The kubeconfig's context. Default: its current one.")
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="The kubeconfig. Default: $KUBECONFIG, ~/.kube/config or the pod's own."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait. Default: as long as it takes."),
]


class Format(StrEnum):
    """What a command prints for scripts."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class DataFormat(StrEnum):
    """What a command prints for scripts that is no job."""

    JSON = "json"
    YAML = "yaml"


Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", metavar="json|yaml|name", help="Print this instead of text for people."),
]


DataOutput = Annotated[
    DataFormat | None,
    typer.Option("--output", "-o", metavar="json|yaml", help="Print this instead of text for people."),
]


def client_of(namespace: str | None, context: str | None, kubeconfig: Path | None) -> Client:
    """A client for the cluster that the options name; imported late, for it costs half a second."""
    from dltrain.client import Client  # noqa: PLC0415

    return Client(namespace, context=context, kubeconfig=kubeconfig)
