"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

File = Annotated[Path, typer.Argument(help="The job file (YAML or JSON).", show_default=False)]
Name = Annotated[str, typer.Argument(help="The job's name.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the file; may be repeated.")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace. Default: the kubeconfig's current one.")
]
Context = Annotated[str | None, typer.Option("--context", help="The kubeconfig's context.")]
Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="The kubeconfig file.")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds to wait. Default: as long as it takes.")]


class Format(StrEnum):
    """What a command prints for scripts."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[Format | None, typer.Option("--output", "-o", help="Print this instead of text for people.")]


def client_of(namespace: str | None, context: str | None, kubeconfig: Path | None) -> Any:
    """A client for the cluster that the options name; imported late, for it costs half a second."""
    from dltrain.client import Client  # noqa: PLC0415

    return Client(namespace, context=context, kubeconfig=kubeconfig)
