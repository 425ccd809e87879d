"""Commands that look into jobs of a cluster: watch, explain, events, top, diff."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dltrain.cli.options import Context, DataOutput, Kubeconfig, Name, Namespace, Timeout, client_of
from dltrain.cli.say import with_phases

if TYPE_CHECKING:
    from dltrain.api.job import DLTrainJob
    from dltrain.client import Client


def watch(
    name: Name,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show one job live until it ends.

    A line a change where no terminal is. Ends as `dltrain submit --wait` does: exit code 1 if the job failed.

    Example: dltrain watch fashion-cnn
    """
    from rich.console import Console  # noqa: PLC0415 - not needed for the other commands
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from dltrain.cli.render import change_line, screen  # noqa: PLC0415

    client = client_of(namespace, context, kubeconfig)
    console = Console(highlight=False)
    if not console.is_terminal:
        said = ""
        for job in states(client, name, timeout):
            line = change_line(job)
            if line != said:
                typer.echo(line)
            said = line
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        for job in states(client, name, timeout):
            live.update(Text.from_ansi(with_phases(screen(job))))


def states(client: Client, name: str, timeout: float | None) -> Iterator[DLTrainJob]:
    """A job as it is and after every change, until it has ended.

    Raises:
        JobFailedError: it failed.
    """
    from dltrain.verbs import waited_for  # noqa: PLC0415 - it imports the models

    client.get(name)  # a job that does not exist is not waited for
    for event in client.watch(name, timeout):
        if event.kind != "DELETED":
            yield event.job
        if waited_for(event, "Complete"):
            return


def explain(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Tell in plain words where a job stands, and why.

    Example: dltrain explain fashion-cnn
    """
    typer.echo(client_of(namespace, context, kubeconfig).explain(name))


def events(
    name: Name,
    output: DataOutput = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List what the cluster noted about a job and its pods.

    Example: dltrain events fashion-cnn
    """
    from dltrain.cli.render import events_table  # noqa: PLC0415 - the models take time to import
    from dltrain.cli.scripts import written  # noqa: PLC0415

    found = client_of(namespace, context, kubeconfig).events(name)
    if output is not None:
        typer.echo(written([event.to_dict() for event in found], output))
    elif found:
        typer.echo(events_table(found, datetime.now(UTC)))
    else:
        typer.echo(f"no events of {name}; a cluster keeps them for an hour", err=True)


def top(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this job, with its pods.", show_default=False)
    ] = None,
    output: DataOutput = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show throughput and where the time goes.

    COMPUTE, WAIT and DATA are shares of rank 0's time: computing, waiting for
    other ranks, waiting for batches. With NAME, what each rank has computed in
    the newest epoch, and the most memory and GPU memory it has held; CPU and
    memory of its pods, where the cluster has a metrics server.

    Example: dltrain top fashion-cnn
    """
    from dltrain.cli.scripts import speed_for_scripts, written  # noqa: PLC0415 - the models take time to import
    from dltrain.cli.usage import job_tables, jobs_table  # noqa: PLC0415

    client = client_of(namespace, context, kubeconfig)
    if name is not None:
        job, pods = client.get(name), client.usage(name)
        typer.echo(job_tables(job, pods) if output is None else written(speed_for_scripts(job, pods), output))
        return
    running = [job for job in client.list() if job.status.phase == "Running"]
    if output is not None:
        typer.echo(written([speed_for_scripts(job) for job in running], output))
    elif running:
        typer.echo(jobs_table(running))
    else:
        typer.echo(f"no job runs in namespace {client.namespace}", err=True)


def diff(
    first: Annotated[str, typer.Argument(metavar="JOB", help="A job file, or the name of a job of the cluster.")],
    second: Annotated[str, typer.Argument(metavar="JOB", help="Another.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show how two jobs differ.

    Every default is filled in. Exit code 1 if they differ.

    Example: dltrain diff job.yaml fashion-cnn
    """
    from dltrain.plan import difference  # noqa: PLC0415 - the models take time to import

    def job_of(said: str) -> DLTrainJob:
        from dltrain.api.parse import parse_job_file  # noqa: PLC0415

        if Path(said).suffix or "/" in said:
            return parse_job_file(Path(said))
        return client_of(namespace, context, kubeconfig).get(said)

    found = difference(job_of(first), job_of(second), (first, second))
    if found:
        typer.echo(found)
        raise typer.Exit(1)
