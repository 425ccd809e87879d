"""Commands about jobs on a cluster: list, status, logs, artefacts, suspend, resume, scale, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dltrain.cli.options import Context, Kubeconfig, Name, Namespace, Output, Timeout, client_of
from dltrain.cli.say import say, show


def list_jobs(
    selector: Annotated[
        str, typer.Option("--selector", "-l", metavar="LABELS", help="Only jobs with these labels, as in team=vision.")
    ] = "",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
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
    jobs = client.list(selector, everywhere=everywhere)
    if output is not None:
        typer.echo(for_scripts(jobs, output, single=False))
    elif jobs:
        show(table(jobs, datetime.now(UTC), everywhere=everywhere))
    else:
        typer.echo("no jobs" if everywhere else f"no jobs in namespace {client.namespace}", err=True)


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
    show(screen(job)) if output is None else typer.echo(for_scripts([job], output, single=True))


def logs(
    name: Name,
    rank: Annotated[int | None, typer.Option(metavar="RANK", help="Only this rank's lines.", min=0)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has finished.")] = False,
    tail: Annotated[int | None, typer.Option(metavar="N", help="Only the last N lines of the past.", min=0)] = None,
    since: Annotated[float | None, typer.Option(metavar="SECONDS", help="Only lines since then.", min=0)] = None,
    image: Annotated[str, typer.Option(metavar="IMAGE", help="Of the pod that reads a volume.")] = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the output of a job's ranks, by time.

    Where its pods have gone, the last lines of each rank that its storage
    keeps, read as `dltrain artefacts` reads it.

    Example: dltrain logs fashion-cnn --rank 1 --follow
    """
    client = client_of(namespace, context, kubeconfig)
    for line in client.logs(name, rank, follow=follow, tail=tail, since=since, image=image):
        typer.echo(line)


def artefacts(
    name: Name,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Copy them there.", show_default=False)] = None,
    list_: Annotated[bool, typer.Option("--list", "-l", help="Say what there is, with sizes in bytes.")] = False,
    image: Annotated[str, typer.Option(metavar="IMAGE", help="Of the pod that reads a volume.")] = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say where a job's model and metrics are, list or copy them.

    A volume claim is read through a small pod that mounts it, a bucket with
    this machine's credentials (AWS_ENDPOINT_URL wins over the job's endpoint).

    Example: dltrain artefacts fashion-cnn --to model
    """
    from dltrain.artefacts import address_of  # noqa: PLC0415 - it imports the models

    client = client_of(namespace, context, kubeconfig)
    if list_:
        for stored in client.artefacts(name, image=image):
            typer.echo(f"{stored.size:>12} {stored.name}")
    elif to is None:
        typer.echo(address_of(client.get(name)))
    else:
        for file in client.download(name, to, image=image):
            typer.echo(file)


def suspend(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Have a job give up its pods for now.

    Example: dltrain suspend fashion-cnn
    """
    client_of(namespace, context, kubeconfig).suspend(name)
    say(f"{name} is being suspended; `dltrain resume {name}` lets it go on")


def resume(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Let a suspended job go on from its last checkpoint.

    Example: dltrain resume fashion-cnn
    """
    client_of(namespace, context, kubeconfig).resume(name)
    say(f"{name} goes on")


def scale(
    name: Name,
    replicas: Annotated[int, typer.Argument(metavar="N", help="How many workers it shall have.", min=1)],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Change the number of a job's workers.

    Example: dltrain scale fashion-cnn 4
    """
    client_of(namespace, context, kubeconfig).scale(name, replicas)
    say(f"{name} is being scaled to {replicas} workers")


def delete(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Until its pods are gone too.")] = False,
    orphan: Annotated[bool, typer.Option("--orphan", help="Leave its pods and the rest as they are.")] = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Delete a job and its pods; what it has stored stays.

    Example: dltrain delete fashion-cnn --wait
    """
    client_of(namespace, context, kubeconfig).delete(
        name, propagation="Orphan" if orphan else "Background", wait=wait, timeout=timeout
    )
    say(f"{name} {'deleted' if wait else 'is being deleted'}")
