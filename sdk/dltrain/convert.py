"""Kubeflow's MPIJob, PyTorchJob and TrainJob as DLTrainJobs, with a note on all that has no counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.errors import Problem, SpecError
from dltrain.kubeflow import KINDS, Parts, Values, called, gpus, left_out, unreplaced, variables
from dltrain.launchers import Launch, ranks_command
from dltrain.names import API_VERSION, KIND, WORKER_CONTAINER

METADATA: Final = ("name", "generateName", "namespace", "labels", "annotations")
POD_METADATA: Final = ("labels", "annotations")
POD_FIELDS: Final = (
    *("nodeSelector", "tolerations", "affinity", "volumes", "imagePullSecrets", "priorityClassName"),
    *("runtimeClassName", "terminationGracePeriodSeconds"),
)
CONTAINER_FIELDS: Final = ("volumeMounts", "envFrom", "imagePullPolicy")
"""Fields that workers.template takes over as they are."""
ELSEWHERE: Final = ("name", "image", "command", "args", "resources", "env", "workingDir", *CONTAINER_FIELDS)
"""All fields of a container that a job says, in one way or another."""
RESOURCES: Final = ("requests", "limits")
RUNTIMES: Final = ("NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_VISIBLE_DEVICES")
"""Variables that say to a container's runtime which GPUs it gets: a launcher has none, and workers need them."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A job, and what of the original it does not say."""

    job: DLTrainJob
    notes: tuple[str, ...]
    """What was left out or has to be looked at, a sentence each."""


def convert(document: Values) -> Converted:
    """Make a DLTrainJob of another kind of job.

    Args:
        document: an MPIJob, PyTorchJob or TrainJob.

    Raises:
        SpecError: it is none of them, says too little, or has a command that cannot be taken apart.
    """
    kind = str(document.get("kind", ""))
    if kind not in KINDS:
        raise SpecError([Problem("kind", f"must be one of {', '.join(KINDS)}", kind, "pass such a job")])
    try:
        return job_of(document.get("metadata") or {}, KINDS[kind](document["spec"]))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        missing = f"lacks {error.args[0]}" if isinstance(error, KeyError) else f"is not a valid {kind}"
        raise SpecError([Problem("spec", missing, remedy=f"correct the {kind} first")]) from error


def job_of(metadata: Values, parts: Parts) -> Converted:
    """The job that does what another one says.

    Args:
        metadata: the other job's.
        parts: what it says.

    Raises:
        SpecError: its command cannot be taken apart, or what it says is not valid in a job.
    """
    words, on_words = called(parts.launcher)
    launch = ranks_command(words, hydra=parts.hydra)
    slots, on_slots = slots_of(parts, launch)
    env, on_env = environment(parts, launch)
    workers = {
        "replicas": parts.replicas,
        "slotsPerWorker": slots,
        "image": parts.container.get("image"),
        "resources": said(fields_of(parts.container.get("resources") or {}, RESOURCES)),
        "template": template_of(parts, launch, env),
    }
    spec = {"workers": said(workers), "command": list(launch.command), "runPolicy": parts.policy}
    job = parse_job({"apiVersion": API_VERSION, "kind": KIND, "metadata": fields_of(metadata, METADATA), "spec": spec})
    return Converted(job, (*parts.notes, *on_words, *launch.notes, *on_slots, *on_env, *unheard(parts)))


def fields_of(found: Values, names: Sequence[str]) -> dict[str, Any]:
    """Some fields, as far as they are there."""
    return {name: found[name] for name in names if name in found}


def said(found: Values) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in found.items() if value not in (None, "", {}, [])}


def slots_of(parts: Parts, launch: Launch) -> tuple[int | None, list[str]]:
    """Ranks per worker, None for the default of one a GPU; notes on what they may be taken to be."""
    told, limit = launch.per_node or parts.slots, gpus(parts.container)
    slots = int(told) if told.isdecimal() else None
    notes = []
    if told and slots is None and (told == "cpu" or not limit):
        notes.append(f"{told} ranks a worker are taken to be {limit or 1}: set slotsPerWorker, which is a number")
    if not told and not launch.launcher and limit > 1:
        slots = 1  # a program without a launcher is one process there
        notes.append(f"slotsPerWorker is 1, for there is no launcher: set it to {limit} for one rank a GPU")
    each = slots or limit or 1
    if launch.ranks.isdecimal() and int(launch.ranks) != parts.replicas * each:
        ranks = f"{parts.replicas * each} ranks, {each} in each of {parts.replicas} workers"
        notes.append(f"the launcher's number of ranks, {launch.ranks}, was left out: the job has {ranks}")
    return slots, notes


def environment(parts: Parts, launch: Launch) -> tuple[list[Values], list[str]]:
    """The variables that ranks have there, and notes on those that they do not have here."""
    own, apart = variables(parts.container), parts.launcher is not parts.container
    outer = variables(parts.launcher) if apart else {}
    passed = {name: entry for name, entry in outer.items() if is_passed(name, launch)}
    added = {name: {"name": name, "value": value} for name, value in launch.variables}
    every = {**own, **passed, **added}
    unknown = [name for name in launch.passed if name not in every]
    unused = [name for name in outer if name not in every]
    alone = {"envFrom": parts.launcher.get("envFrom")} if apart and not launch.passes_all else {}
    stay = {
        name: f"ranks find {name} in their environment" if name in every else "write its value by hand, ranks have none"
        for name in unreplaced(launch.command, parts.launcher)
    }
    return list(every.values()), [
        *(f"variable {name} of the launcher was left out: its value is not in the job" for name in unknown),
        *(f"variable {name} of the launcher was left out: {why_unused(name, launch)}" for name in unused),
        *(f"$({name}) in the command stays as it is: {what}" for name, what in stay.items()),
        *left_out(alone, (), " of the launcher"),
    ]


def is_passed(name: str, launch: Launch) -> bool:
    """Whether ranks get a variable of the launcher's environment."""
    return name in launch.passed or (launch.passes_all and name not in {*launch.withheld, *RUNTIMES})


def why_unused(name: str, launch: Launch) -> str:
    """Why ranks do not get a variable of the launcher's environment."""
    of_runtime = launch.passes_all and name in RUNTIMES
    return "it says which GPUs the launcher's own container gets" if of_runtime else "it is not passed on to ranks"


def sources(parts: Parts, launch: Launch) -> Any:
    """The `envFrom` of the workers; of a variable's sources the last counts, as the launcher's does there."""
    own, more = parts.container.get("envFrom"), parts.launcher.get("envFrom")
    if not more or not launch.passes_all:
        return own
    return [*(each for each in own or () if each not in more), *more]


def template_of(parts: Parts, launch: Launch, env: Sequence[Values]) -> dict[str, Any]:
    """The `spec.workers.template` of a job: what is taken over as it is."""
    folder = launch.folder or parts.launcher.get("workingDir") or parts.container.get("workingDir")
    kept = fields_of(parts.container, CONTAINER_FIELDS)
    container = said({"env": env, "workingDir": folder, **kept, "envFrom": sources(parts, launch)})
    pod = fields_of(parts.template.get("spec") or {}, POD_FIELDS)
    containers = [{"name": WORKER_CONTAINER, **container}] if container else []
    metadata = fields_of(parts.template.get("metadata") or {}, POD_METADATA)
    return said({"metadata": said(metadata), "spec": said({**pod, "containers": containers})})


def unheard(parts: Parts) -> list[str]:
    """Notes on the fields of the pods that a job does not say."""
    template = parts.template
    return [
        *left_out(template.get("metadata") or {}, POD_METADATA, " of the pods' metadata"),
        *left_out(template.get("spec") or {}, ("containers", "restartPolicy", *POD_FIELDS), " of the pods"),
        *left_out(parts.container, ELSEWHERE, " of the container"),
        *left_out(parts.container.get("resources") or {}, RESOURCES, " of the container's resources"),
    ]
