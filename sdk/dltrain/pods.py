"""A job's worker pods, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dltrain.api.base import StatusModel
from dltrain.api.job import DLTrainJob
from dltrain.effects import Program
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL
from dltrain.requests import ask_for_list
from dltrain.resolution import resolved


class WorkerPod(StatusModel):
    """One incarnation of a worker."""

    name: str
    index: int
    """The worker's."""
    incarnation: int
    """Rises whenever the worker is replaced."""
    ranks: tuple[int, ...] = ()
    """The ranks that run in it."""
    node: str = ""
    """Where it runs; empty while it waits."""
    phase: str = ""
    """Pending, Running, Succeeded or Failed; Terminating while it is being deleted."""
    image: str = ""
    """What it runs."""
    message: str = ""
    """Why it waits, where that is known."""


def pods_of(job: DLTrainJob) -> Program[list[WorkerPod]]:
    """The pods of a job, by worker and incarnation."""
    found = yield from manifests_of(job)
    slots = resolved(job).spec.workers.slots
    return [worker_pod(item, slots) for item in found]


def manifests_of(job: DLTrainJob) -> Program[list[dict[str, Any]]]:
    """The same as the API has them."""
    path = f"/api/v1/namespaces/{job.namespace}/pods"
    selector = f"{JOB_LABEL}={job.name},{INDEX_LABEL},{INCARNATION_LABEL}"
    found = yield from ask_for_list(path, {"labelSelector": selector})
    return sorted(found["items"], key=place_of)


def place_of(manifest: Mapping[str, Any]) -> tuple[int, int]:
    """Which worker a pod is, and which incarnation of it."""
    labels = manifest["metadata"]["labels"]
    return int(labels[INDEX_LABEL]), int(labels[INCARNATION_LABEL])


def worker_pod(manifest: Mapping[str, Any], slots: int) -> WorkerPod:
    """A pod as the API has it.

    Args:
        manifest: the pod.
        slots: ranks of a pod.
    """
    metadata, status = manifest["metadata"], manifest.get("status", {})
    index, incarnation = place_of(manifest)
    waits = next((each.get("message") for each in status.get("conditions", ()) if each.get("status") == "False"), None)
    phase = str(status.get("phase", ""))
    return WorkerPod(
        name=metadata["name"],
        index=index,
        incarnation=incarnation,
        ranks=tuple(range(index * slots, (index + 1) * slots)),
        node=manifest.get("spec", {}).get("nodeName") or "",
        image=next((each["image"] for each in manifest.get("spec", {}).get("containers", ())), ""),
        phase="Terminating" if metadata.get("deletionTimestamp") else phase,
        message=(waits or "") if phase == "Pending" else "",
    )
