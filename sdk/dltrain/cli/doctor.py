"""The command that examines a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dltrain.cli.options import Context, DataOutput, Kubeconfig, Namespace, client_of
from dltrain.cli.say import painted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dltrain.doctor.finding import Finding

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A job that is to run there.", show_default=False)
    ] = None,
    output: DataOutput = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Examine a cluster: can jobs run there, and what is to be done.

    Reads only, with your rights. Exit code 1 if a check failed; warnings do
    not count. With FILE, what that job asks for is checked too.

    Example: dltrain doctor -n research job.yaml
    """
    from dltrain.api.parse import parse_job_file  # noqa: PLC0415 - the models take time to import
    from dltrain.cli.scripts import findings_for_scripts, written  # noqa: PLC0415

    wanted = parse_job_file(file) if file else None
    findings = client_of(namespace, context, kubeconfig).doctor(wanted)
    show(findings) if output is None else typer.echo(written(findings_for_scripts(findings), output))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def show(findings: Sequence[Finding]) -> None:
    """Print findings for people, and how many there are."""
    show_each(findings)
    counts = {level: sum(finding.level == level for finding in findings) for level in COLOURS}
    typer.echo(f"\n{counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failed")


def show_each(findings: Sequence[Finding], *, err: bool = False) -> None:
    """Print findings for people, on standard error if so wished."""
    width = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        level = f"{finding.level:<4}"
        typer.echo(f"{painted(level, COLOURS[finding.level])}  {finding.check:<{width}}  {finding.message}", err=err)
        if finding.remedy:
            typer.echo(f"{'':<{width + 8}}{finding.remedy}", err=err)
