"""Kubeflow's MPIJob, PyTorchJob and TrainJob as DLTrainJobs, with a note on all that has no counterpart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.errors import Problem, SpecError
from dltrain.names import API_VERSION, KIND, WORKER_CONTAINER

Values = Mapping[str, Any]

LAUNCHERS: Final = ("mpirun", "mpiexec", "torchrun", "horovodrun")
ARGUMENTS: Final = {
    **dict.fromkeys(("-n", "-np", "-c", "-H", "-x", "-N", "-npernode", "-p"), 1),
    **dict.fromkeys(("host", "hostfile", "machinefile", "bind-to", "map-by", "rank-by", "wdir", "num-proc"), 1),
    **dict.fromkeys(("nnodes", "nproc_per_node", "nproc-per-node", "node_rank", "node-rank", "rdzv_backend"), 1),
    **dict.fromkeys(("rdzv-backend", "rdzv_endpoint", "rdzv-endpoint", "rdzv_id", "rdzv-id", "max_restarts"), 1),
    **dict.fromkeys(("max-restarts", "master_addr", "master-addr", "master_port", "master-port"), 1),
    **dict.fromkeys(("mca", "prtemca"), 2),
}
"""Options of launchers -> how many words follow; long ones with any number of dashes. Others have none."""
POLICY: Final = ("suspend", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
POD_FIELDS: Final = ("nodeSelector", "tolerations", "affinity", "volumes", "imagePullSecrets", "priorityClassName")
DROPPED: Final = ("serviceAccountName", "hostNetwork", "initContainers", "schedulerName")
RENDEZVOUS: Final = (
    "ranks are started with MPI: MASTER_ADDR, RANK and WORLD_SIZE are not set; read OMPI_COMM_WORLD_RANK and "
    "OMPI_COMM_WORLD_SIZE, use Horovod, or make it a pipeline with `backend: ddp`"
)


@dataclass(frozen=True, slots=True)
class Converted:
    """A job, and what of the original it does not say."""

    job: DLTrainJob
    notes: tuple[str, ...]
    """What was left out or has to be looked at, a sentence each."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the kinds have in common."""

    replicas: int
    slots: int | None
    container: Values
    pod: Values
    command: Sequence[str]
    policy: Values
    notes: tuple[str, ...] = ()


def convert(document: Values) -> Converted:
    """Make a DLTrainJob of another kind of job.

    Args:
        document: an MPIJob, PyTorchJob or TrainJob.

    Raises:
        SpecError: it is none of them, or says too little.
    """
    kind = str(document.get("kind", ""))
    if kind not in KINDS:
        raise SpecError([Problem("kind", f"must be one of {', '.join(KINDS)}", kind, "pass such a job")])
    try:
        parts = KINDS[kind](document["spec"])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        missing = f"lacks {error.args[0]}" if isinstance(error, KeyError) else f"is not a valid {kind}"
        raise SpecError([Problem("spec", missing, remedy=f"correct the {kind} first")]) from error
    words, environment, notes = ranks_command(parts.command)
    metadata = {key: value for key, value in document.get("metadata", {}).items() if key in METADATA}
    spec = {"workers": workers(parts, environment), "command": words, "runPolicy": parts.policy}
    job = parse_job({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
    dropped = [f"{field} of the pods was left out" for field in DROPPED if parts.pod.get(field)]
    return Converted(job, (*parts.notes, *notes, *dropped))


METADATA: Final = ("name", "generateName", "namespace", "labels", "annotations")


def workers(parts: Parts, environment: Sequence[Values]) -> dict[str, Any]:
    """The `spec.workers` of a job."""
    container = parts.container
    chosen = {
        "replicas": parts.replicas,
        "slotsPerWorker": parts.slots,
        "image": container.get("image"),
        "resources": resources(container.get("resources") or {}),
    }
    env = [*(container.get("env") or []), *environment]
    own = {"env": env, "volumeMounts": container.get("volumeMounts"), "envFrom": container.get("envFrom")}
    extra = {name: value for name, value in own.items() if value}
    pod = {field: parts.pod[field] for field in POD_FIELDS if parts.pod.get(field)}
    if extra:
        pod["containers"] = [{"name": WORKER_CONTAINER, **extra}]
    return {**{name: value for name, value in chosen.items() if value}, **({"template": {"spec": pod}} if pod else {})}


def resources(asked: Values) -> dict[str, Any]:
    """Resources, as far as a job has them."""
    return {kind: dict(asked[kind]) for kind in ("requests", "limits") if asked.get(kind)}


def policy(spec: Values) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The run policy, and what of it has no counterpart."""
    kept = {field: spec[field] for field in POLICY if spec.get(field) is not None}
    if spec.get("cleanPodPolicy") == "All":
        kept["cleanPodPolicy"] = "All"
    notes = ("schedulingPolicy was left out: see docs/queueing.md",) if spec.get("schedulingPolicy") else ()
    return kept, notes


def first_container(replica: Values) -> tuple[Values, Values]:
    """The container that trains, and its pod."""
    pod = replica["template"]["spec"]
    return pod["containers"][0], pod


def called(container: Values) -> list[str]:
    """The words that a container runs."""
    return [str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]]


def of_mpi_job(spec: Values) -> Parts:
    """What an MPIJob says."""
    launcher, _ = first_container(spec["mpiReplicaSpecs"]["Launcher"])
    worker = spec["mpiReplicaSpecs"]["Worker"]
    container, pod = first_container(worker)
    kept, notes = policy(spec.get("runPolicy") or {})
    image = "the image must have dltrain's agent: build it FROM the trainer image; sshd is not needed"
    slots = spec.get("slotsPerWorker")
    return Parts(worker.get("replicas", 1), slots, container, pod, called(launcher), kept, (image, *notes))


def of_pytorch_job(spec: Values) -> Parts:
    """What a PyTorchJob says."""
    replicas = spec["pytorchReplicaSpecs"]
    first = replicas.get("Master") or replicas["Worker"]
    container, pod = first_container(first)
    count = sum(int(each.get("replicas", 1)) for each in replicas.values())
    kept, notes = policy(spec.get("runPolicy") or {})
    elastic = ("elasticPolicy was left out",) if spec.get("elasticPolicy") else ()
    per_node = str(spec.get("nprocPerNode") or "")
    slots = int(per_node) if per_node.isdigit() else None
    return Parts(count, slots, container, pod, called(container), kept, (RENDEZVOUS, *notes, *elastic))


def of_train_job(spec: Values) -> Parts:
    """What a TrainJob says; the rest is in its runtime."""
    trainer = spec["trainer"]
    runtime = (spec.get("runtimeRef") or {}).get("name", "")
    per_node = str(trainer.get("numProcPerNode") or "")
    container = {**trainer, "resources": trainer.get("resourcesPerNode")}
    notes = [RENDEZVOUS, *([f"what the runtime {runtime} adds was left out"] if runtime else [])]
    notes += [f"{field} was left out" for field in ("initializer", "podTemplateOverrides") if spec.get(field)]
    kept = {"suspend": True} if spec.get("suspend") else {}
    slots = int(per_node) if per_node.isdigit() else None
    return Parts(trainer.get("numNodes", 1), slots, container, {}, called(trainer), kept, tuple(notes))


KINDS: Final[Mapping[str, Callable[[Values], Parts]]] = {
    "MPIJob": of_mpi_job,
    "PyTorchJob": of_pytorch_job,
    "TrainJob": of_train_job,
}


def ranks_command(words: Sequence[str]) -> tuple[list[str], list[dict[str, str]], list[str]]:
    """What each rank runs, without its launcher; the environment that the launcher passes on; notes.

    Raises:
        SpecError: it is a shell script, or nothing.
    """
    words = in_a_shell(words)
    if not words:
        remedy = "write the program that the image would run"
        raise SpecError([Problem("spec.command", "cannot be told from the job", remedy=remedy)])
    if words[0].rpartition("/")[2] not in LAUNCHERS:
        return list(words), [], []
    environment, notes, at = [], [], 1
    while at < len(words) and words[at].startswith("-"):
        name, _, value = words[at].partition("=")
        taken = ARGUMENTS.get(name, ARGUMENTS.get(name.lstrip("-"), 0)) if not value else 0
        values = list(words[at + 1 : at + 1 + taken])
        if name == "-x" and values:
            variable, given, text = values[0].partition("=")
            environment += [{"name": variable, "value": text}] if given else []
        elif name.lstrip("-") in {"mca", "prtemca"}:
            notes.append(f"{' '.join([name, *values])} was left out: dltrain chooses Open MPI's transports")
        at += 1 + taken
    program = list(words[at:])
    return (["python3", *program] if program and program[0].endswith(".py") else program), environment, notes


def in_a_shell(words: Sequence[str]) -> Sequence[str]:
    """The words of the one call that `sh -c` makes; other words as they are.

    Raises:
        SpecError: the shell does more than one call.
    """
    if len(words) < 3 or words[0].rpartition("/")[2] not in {"sh", "bash"} or "c" not in words[1]:
        return words
    text = words[2].strip().removeprefix("exec ").replace("\\\n", " ")
    if re.search(r"[;&|\n`]|\$\(", text):
        remedy = "put it into a script that each rank runs, without mpirun or torchrun"
        raise SpecError([Problem("spec.command", "is a shell script of several commands", text[:60], remedy)])
    return shlex.split(text)
