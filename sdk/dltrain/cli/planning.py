"""The command that says what a job comes to before it runs: by itself, in a cluster, as objects."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dltrain.cli.doctor import show_each
from dltrain.cli.exits import BLOCKED
from dltrain.cli.options import Context, DataOutput, File, Kubeconfig, Namespace, Overrides, Profile, client_of
from dltrain.cli.say import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dltrain.api.job import DLTrainJob
    from dltrain.capacity.planning import JobPlan
    from dltrain.doctor.finding import Finding

PROGRAM: Final = "dltrain_operator.preview"
"""The operator's program that makes objects of a job: nothing of the SDK imports the operator."""


def plan(
    file: File,
    overrides: Overrides = None,
    profile: Profile = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Ask the cluster: the profile, whether it fits now, what blocks it.")
    ] = False,
    objects: Annotated[
        bool, typer.Option("--objects", help="Print, as YAML, what the operator would create for the job.")
    ] = False,
    output: DataOutput = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what a job comes to before it runs.

    With --profile, as the operator makes it of the job and that profile.
    With --cluster, with the profile that it gets there, and whether it fits
    the nodes and quotas as they are now: reads only, with your rights; exit
    code 1 if something blocks the job.

    Example: dltrain plan job.yaml --set spec.workers.replicas=8
    """
    from dltrain.cli.scripts import written  # noqa: PLC0415 - the models take time to import
    from dltrain.overrides import load_job  # noqa: PLC0415
    from dltrain.profiles import with_profile  # noqa: PLC0415
    from dltrain.resolution import in_namespace  # noqa: PLC0415

    if objects and output is not None:
        raise typer.BadParameter("is not for --objects, which are YAML", param_hint="--output")
    if (context or kubeconfig) and not cluster:
        raise typer.BadParameter("is for --cluster; add that", param_hint="--context" if context else "--kubeconfig")
    job = with_profile(load_job(file, overrides or ()), profile)
    if namespace and not job.namespace:
        job = in_namespace(job, namespace)
    found = client_of(namespace, context, kubeconfig).plan(job) if cluster else None
    if objects:
        typer.echo(objects_of(found.job if found else job), nl=False)
    elif output is not None:
        typer.echo(written(values_of(job, found), output))
    else:
        show(text_of(job, found))
    if found:
        if output is None:
            show_findings(found.findings, aside=objects)
        raise typer.Exit(0 if found.fits else BLOCKED)


def text_of(job: DLTrainJob, found: JobPlan | None) -> str:
    """A job in names and values, with the verdict of a cluster that was asked."""
    from dltrain.cli.render import labelled  # noqa: PLC0415 - the models take time to import
    from dltrain.plan import plan_lines  # noqa: PLC0415

    lines = plan_lines(found.job if found else job)
    return labelled([*lines, ("Fits now", found.verdict)] if found else lines)


def values_of(job: DLTrainJob, found: JobPlan | None) -> dict[str, Any]:
    """A job in names and values, with what a cluster that was asked says of it."""
    from dltrain.cli.scripts import findings_for_scripts  # noqa: PLC0415 - the models take time to import
    from dltrain.plan import plan_lines  # noqa: PLC0415

    told: dict[str, Any] = {"plan": dict(plan_lines(found.job if found else job))}
    return {**told, "fits": found.fits, "findings": findings_for_scripts(found.findings)} if found else told


def objects_of(job: DLTrainJob) -> str:
    """What the operator would create for a job, as YAML.

    Raises:
        MissingSoftwareError: the operator is not installed here.
    """
    from dltrain.software import require  # noqa: PLC0415 - not needed without --objects

    require("dltrain plan --objects", PROGRAM.partition(".")[0])
    written = job.model_dump_json(by_alias=True, exclude_none=True)
    return subprocess.run(
        [sys.executable, "-m", PROGRAM], input=written, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def show_findings(findings: Sequence[Finding], *, aside: bool) -> None:
    """Print what a cluster that was asked says of a job; aside of objects only what is not well."""
    if aside:
        show_each([each for each in findings if each.level != "ok"], err=True)
    elif findings:
        typer.echo()
        show_each(findings)
