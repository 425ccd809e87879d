"""Commands about jobs on a cluster: list, status, logs, artefacts, suspend, resume, scale, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dltrain.cli.options import Context, Format, Kubeconfig, Name, Namespace, Output, Timeout, client_of
from dltrain.cli.say import say, show

if TYPE_CHECKING:
    from dltrain.api.job import DLTrainJob


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
    from dltrain.cli.render import table  # noqa: PLC0415 - the models take time to import
    from dltrain.cli.scripts import jobs_for_scripts  # noqa: PLC0415

    client = client_of(namespace, context, kubeconfig)
    jobs = client.list(selector, everywhere=everywhere)
    if output is not None:
        typer.echo(jobs_for_scripts(jobs, output))
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
    from dltrain.cli.render import screen  # noqa: PLC0415 - the models take time to import
    from dltrain.cli.scripts import job_for_scripts  # noqa: PLC0415

    job = client_of(namespace, context, kubeconfig).get(name)
    show(screen(job)) if output is None else typer.echo(job_for_scripts(job, output))


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
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say where a job's model and metrics are, list or copy them.

    A volume claim is read through a small pod that mounts it, a bucket with
    this machine's credentials (AWS_ENDPOINT_URL wins over the job's endpoint).
    --output prints what there is: names, or names and sizes in bytes.

    Example: dltrain artefacts fashion-cnn --to model
    """
    from dltrain.artefacts import address_of  # noqa: PLC0415 - it imports the models
    from dltrain.cli.scripts import files_for_scripts  # noqa: PLC0415

    if output is not None and to is not None:
        raise typer.BadParameter("is for what there is; leave out --to", param_hint="--output")
    client = client_of(namespace, context, kubeconfig)
    if output is not None:
        typer.echo(files_for_scripts(client.artefacts(name, image=image), output))
    elif list_:
        for stored in client.artefacts(name, image=image):
            typer.echo(f"{stored.size:>12} {stored.name}")
    elif to is None:
        typer.echo(address_of(client.get(name)))
    else:
        for file in client.download(name, to, image=image):
            typer.echo(file)


def suspend(
    name: Name,
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Have a job give up its pods for now.

    Example: dltrain suspend fashion-cnn
    """
    job = client_of(namespace, context, kubeconfig).suspend(name)
    told(job, output, f"{name} is being suspended; `dltrain resume {name}` lets it go on")


def resume(
    name: Name,
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let a suspended job go on from its last checkpoint.

    Example: dltrain resume fashion-cnn
    """
    told(client_of(namespace, context, kubeconfig).resume(name), output, f"{name} goes on")


def scale(
    name: Name,
    replicas: Annotated[int, typer.Argument(metavar="N", help="How many workers it shall have.", min=1)],
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Change the number of a job's workers.

    Example: dltrain scale fashion-cnn 4
    """
    job = client_of(namespace, context, kubeconfig).scale(name, replicas)
    told(job, output, f"{name} is being scaled to {replicas} workers")


def told(job: DLTrainJob, output: Format | None, text: str) -> None:
    """Print a job that was changed for scripts, or tell people about it."""
    from dltrain.cli.scripts import job_for_scripts  # noqa: PLC0415 - the models take time to import

    say(text) if output is None else typer.echo(job_for_scripts(job, output))


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
