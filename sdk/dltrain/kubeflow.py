"""What an MPIJob, a PyTorchJob and a TrainJob of Kubeflow have in common: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain.api.workers import GPU_RESOURCE

Values = Mapping[str, Any]

POLICY: Final = ("suspend", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
RENDEZVOUS: Final = (
    "ranks are started with MPI: MASTER_ADDR, RANK and WORLD_SIZE are not set; read OMPI_COMM_WORLD_RANK and "
    "OMPI_COMM_WORLD_SIZE, use Horovod, or make it a pipeline with `backend: ddp`"
)
IMAGE: Final = "the image must have dltrain's agent: build it FROM the trainer image; sshd is not needed"
HYDRA: Final = ("Intel", "MPICH")
"""The implementations of MPI whose `mpirun` is Hydra's."""
ENTRYPOINT: Final = "args are the command: the image's ENTRYPOINT was not looked at"
WHY_NOT: Final[Values] = {
    "elasticPolicy": "see docs/elastic.md",
    "schedulingPolicy": "see docs/queueing.md",
    "securityContext": "workers run as user 1000 without privileges, see docs/jobs.md",
}
"""Fields that are left out -> what there is instead."""
VARIABLE: Final = re.compile(r"(?<!\$)\$\(([-.\w]+)\)")
"""A variable that Kubernetes puts into the words of a container's command."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A job of Kubeflow."""

    replicas: int
    slots: str
    """Ranks per worker, as written: a number, `gpu`, `cpu` or `auto`; empty where it does not say."""
    container: Values
    """What trains in each worker."""
    launcher: Values
    """The container whose command starts the ranks; often the same one."""
    template: Values
    """The workers' pod template."""
    policy: Values
    """The `spec.runPolicy` of the new job."""
    notes: tuple[str, ...] = ()
    """What was left out, a sentence each."""
    hydra: bool = False
    """Whether `mpirun` is Hydra's there, which passes the launcher's whole environment on."""


def left_out(found: Values, taken: Collection[str], whose: str = "") -> list[str]:
    """A note for each field that says something and is not taken.

    Args:
        found: the fields.
        taken: the names of those that need no note.
        whose: them, as in ` of the pods`.
    """
    missed = [name for name, value in found.items() if value and name not in taken]
    return [f"{name}{whose} was left out{f': {WHY_NOT[name]}' if name in WHY_NOT else ''}" for name in missed]


def policy(spec: Values) -> tuple[dict[str, Any], list[str]]:
    """The run policy, and what of it has no counterpart."""
    kept = {field: spec[field] for field in POLICY if spec.get(field) is not None}
    if spec.get("cleanPodPolicy") == "All":
        kept["cleanPodPolicy"] = "All"
    return kept, left_out(spec, (*POLICY, "cleanPodPolicy"))


def number(value: Any) -> int:
    """How many replicas there are: one where it is not said."""
    return 1 if value is None else int(value)


def gpus(container: Values) -> int:
    """The GPUs of a container."""
    limit = str(((container.get("resources") or {}).get("limits") or {}).get(GPU_RESOURCE, 0))
    return int(limit) if limit.isdecimal() else 0


def container_of(replica: Values, whose: str, name: str = "") -> tuple[Values, list[str]]:
    """The container that trains: the one of a name, else the first one; and notes on the others, which are whose."""
    every = replica["template"]["spec"]["containers"]
    chosen = next((each for each in every if each.get("name") == name), every[0])
    others = [each.get("name", "") for each in every if each is not chosen]
    return chosen, [f"container {other}{whose} was left out" for other in others]


def variables(container: Values) -> dict[str, Values]:
    """The variables of a container by name; of several of one name the last counts."""
    return {entry["name"]: entry for entry in container.get("env") or []}


def called(container: Values) -> tuple[list[str], list[str]]:
    """The words that a container runs, with the variables that Kubernetes would put in; and notes on them.

    There are no words where they are but options of the image's ENTRYPOINT, which is not known.
    """
    texts = {name: str(entry["value"]) for name, entry in variables(container).items() if "value" in entry}
    command, args = container.get("command") or [], container.get("args") or []
    words = [VARIABLE.sub(lambda found: texts.get(found[1], found[0]), str(word)) for word in (*command, *args)]
    if command or not words:
        return words, []
    return ([], []) if words[0].startswith("-") else (words, [ENTRYPOINT])


def of_mpi_job(spec: Values) -> Parts:
    """What an MPIJob says."""
    replicas = spec["mpiReplicaSpecs"]
    worker = replicas["Worker"]
    launcher, beside = container_of(replicas["Launcher"], " of the launcher")
    container, others = container_of(worker, " of the pods")
    kept, notes = policy(spec.get("runPolicy") or {})
    slots = spec.get("slotsPerWorker") or (1 if gpus(container) > 1 else "")  # there it is 1, here one a GPU
    notes += left_out(spec, ("mpiReplicaSpecs", "runPolicy", "slotsPerWorker", "sshAuthMountPath", "mpiImplementation"))
    pod = replicas["Launcher"]["template"]["spec"]  # it goes; what its init containers do may be work
    notes += left_out({"initContainers": pod.get("initContainers")}, (), " of the launcher")
    notes += beside + others + of_replica(worker)
    count = number(worker.get("replicas"))
    hydra = spec.get("mpiImplementation") in HYDRA
    return Parts(count, str(slots), container, launcher, worker["template"], kept, (IMAGE, *notes), hydra)


def of_replica(replica: Values) -> list[str]:
    """Notes on what is said beside the pod template of replicas."""
    return left_out(replica, ("replicas", "template", "restartPolicy"), " of the replicas")


def of_pytorch_job(spec: Values) -> Parts:
    """What a PyTorchJob says."""
    replicas = spec["pytorchReplicaSpecs"]
    first = replicas.get("Master") or replicas["Worker"]
    container, others = container_of(first, " of the pods", "pytorch")
    kept, notes = policy(spec.get("runPolicy") or {})
    notes += left_out(spec, ("pytorchReplicaSpecs", "runPolicy", "nprocPerNode")) + others + of_replica(first)
    unlike = [name for name, each in replicas.items() if each["template"] != first["template"]]
    notes += [f"the template of {name} was left out: all workers are like the Master" for name in unlike]
    count = sum(number(each.get("replicas")) for each in replicas.values())
    slots = str(spec.get("nprocPerNode") or "")
    return Parts(count, slots, container, container, first["template"], kept, (RENDEZVOUS, *notes))


def of_train_job(spec: Values) -> Parts:
    """What a TrainJob says; the rest is in its runtime."""
    trainer = spec["trainer"]
    sizes = ("numNodes", "numProcPerNode", "resourcesPerNode")
    container = {name: value for name, value in trainer.items() if name not in sizes}
    container["resources"] = trainer.get("resourcesPerNode")
    runtime = (spec.get("runtimeRef") or {}).get("name", "")
    notes = [f"what the runtime {runtime} adds was left out"] if runtime else []
    notes += left_out(spec, ("trainer", "runtimeRef", "suspend"))
    kept = {"suspend": True} if spec.get("suspend") else {}
    slots = str(trainer.get("numProcPerNode") or "")
    return Parts(number(trainer.get("numNodes")), slots, container, container, {}, kept, (RENDEZVOUS, *notes))


KINDS: Final[Mapping[str, Callable[[Values], Parts]]] = {
    "MPIJob": of_mpi_job,
    "PyTorchJob": of_pytorch_job,
    "TrainJob": of_train_job,
}


def unreplaced(words: Sequence[str], container: Values) -> list[str]:
    """The variables of a container that stay unreplaced in words, for they have no value in the job itself."""
    return sorted({name for word in words for name in VARIABLE.findall(word)} & set(variables(container)))
