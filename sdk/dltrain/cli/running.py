"""Commands that start a job: run (here), submit (on a cluster)."""

from __future__ import annotations

import itertools
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dltrain.cli.exits import JOB_FAILED
from dltrain.cli.options import (
    Context,
    File,
    Kubeconfig,
    Namespace,
    Output,
    Overrides,
    Timeout,
    client_of,
)
from dltrain.cli.say import say, show


def run(
    file: File,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where artefacts go. Default: dltrain-runs/NAME-TIME.", show_default=False),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on in the folder of an earlier run.")
    ] = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out the ranks' output.")] = False,
) -> None:
    """Run a job on this machine, with all its ranks.

    Example: dltrain run job.yaml --set spec.pipeline.train.epochs=1
    """
    from dltrain.cli.live import Display  # noqa: PLC0415 - rich is not needed for the other commands
    from dltrain.cli.render import ending  # noqa: PLC0415
    from dltrain.local import check_installed, run_local  # noqa: PLC0415
    from dltrain.overrides import load_job  # noqa: PLC0415 - the models take time to import

    if resume and output_dir:
        raise typer.BadParameter("goes on in its own folder; leave out --output-dir", param_hint="--resume")
    if resume and not resume.is_dir():
        raise typer.BadParameter(f"{resume} is not the folder of an earlier run", param_hint="--resume")
    job = load_job(file, overrides or ())
    name = job.name or job.metadata.generate_name.rstrip("-")
    check_installed(job)  # before a folder is made for it
    folder = resume or output_dir or new_folder(f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it cleans up as for Ctrl-C
    started = time.monotonic()
    display = Display(quiet=quiet)
    with display.open():
        result = run_local(job, folder, file.resolve().parent, display.status, display.line)
    typer.echo(ending(name, result, time.monotonic() - started), err=not result.succeeded)
    if not result.succeeded:
        raise typer.Exit(JOB_FAILED)


def new_folder(name: str) -> Path:
    """A folder below dltrain-runs that this run alone has made: NAME, or NAME-2 and so on where others were faster.

    Raises:
        OSError: folders cannot be made there.
    """
    for count in itertools.count(1):
        folder = Path("dltrain-runs", name if count == 1 else f"{name}-{count}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


def submit(
    file: File,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has finished.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print the ranks' output; then wait.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Change the job if there is one of its name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only have the server check the job.")] = False,
    overrides: Overrides = None,
    timeout: Timeout = None,
    output: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Submit a job to the cluster.

    Example: dltrain submit job.yaml --wait --follow
    """
    from dltrain.cli.render import screen  # noqa: PLC0415
    from dltrain.cli.scripts import job_for_scripts  # noqa: PLC0415
    from dltrain.overrides import load_job  # noqa: PLC0415 - the models take time to import
    from dltrain.verbs import deadline_of  # noqa: PLC0415

    wanted = load_job(file, overrides or ())  # a mistake in it is told without a cluster, too
    client = client_of(namespace, context, kubeconfig)
    job = client.submit(wanted, apply=apply, dry_run=dry_run)
    client.namespace = job.namespace
    if output is None:
        say(f"{job.namespace}/{job.name} {'would be ' if dry_run else ''}submitted")
    deadline = deadline_of(timeout)  # one for following and for waiting
    if follow and not dry_run:
        for line in client.logs(job.name, follow=True, timeout=timeout):
            typer.echo(line, err=output is not None)
    if (wait or follow) and not dry_run:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        job = client.wait(job.name, timeout=left)
        if output is None:
            show(screen(job))
    if output is not None:
        typer.echo(job_for_scripts(job, output))
