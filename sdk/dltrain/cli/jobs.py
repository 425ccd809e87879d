"""Commands about jobs on a cluster: list, status, logs, suspend, resume, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from dltrain.cli.options import Context, Kubeconfig, Name, Namespace, Output, Timeout, client_of


def list_jobs(
    selector: Annotated[
        str, typer.Option("--selector", "-l", metavar="LABELS", help="Only jobs with these labels, as in team=vision.")
    ] = "",
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the jobs of a namespace.

    Example: dltrain list -n research -o name
    """
    from dltrain.cli.render import for_scripts, table  # noqa: PLC0415 - the models take time to import

    client = client_of(namespace, context, kubeconfig)
    jobs = client.list(selector)
    if output is not None:
        typer.echo(for_scripts(jobs, output, single=False))
    elif jobs:
        typer.echo(table(jobs, datetime.now(UTC)))
    else:
        typer.echo(f"no jobs in namespace {client.namespace}", err=True)


def status(
    name: Name,
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show all about one job.

    Example: dltrain status fashion-cnn
    """
    from dltrain.cli.render import for_scripts, screen  # noqa: PLC0415 - the models take time to import

    job = client_of(namespace, context, kubeconfig).get(name)
    typer.echo(screen(job) if output is None else for_scripts([job], output, single=True))


def logs(
    name: Name,
    rank: Annotated[int | None, typer.Option(metavar="RANK", help="Only this rank's lines.", min=0)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has finished.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the output of a job's ranks.

    Example: dltrain logs fashion-cnn --rank 1 --follow
    """
    for line in client_of(namespace, context, kubeconfig).logs(name, rank, follow=follow):
        typer.echo(line)


def suspend(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Have a job give up its pods for now.

    Example: dltrain suspend fashion-cnn
    """
    client_of(namespace, context, kubeconfig).suspend(name)
    typer.echo(f"{name} is being suspended; `dltrain resume {name}` lets it go on")


def resume(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Let a suspended job go on from its last checkpoint.

    Example: dltrain resume fashion-cnn
    """
    client_of(namespace, context, kubeconfig).resume(name)
    typer.echo(f"{name} goes on")


def delete(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Until its pods are gone too.")] = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Delete a job and its pods; what it has stored stays.

    Example: dltrain delete fashion-cnn --wait
    """
    client_of(namespace, context, kubeconfig).delete(name, wait=wait, timeout=timeout)
    typer.echo(f"{name} {'deleted' if wait else 'is being deleted'}")
