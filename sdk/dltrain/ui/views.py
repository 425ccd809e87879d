"""What the page is told of jobs, pure: models to plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain.curve import POINTS
from dltrain.events import ClusterEvent
from dltrain.pods import WorkerPod
from dltrain.resolution import resolved


def summary(job: DLTrainJob) -> dict[str, Any]:
    """A job's row in the list."""
    status, progress = job.status, job.status.progress or Progress()
    created = job.metadata.creation_timestamp
    return {
        "id": job.metadata.uid,
        "namespace": job.namespace,
        "name": job.name,
        "phase": status.phase or "Unknown",
        "workers": status.workers.summary,
        "stage": progress.stage,
        "percent": progress.percent,
        "loss": progress.loss,
        "eta": None if status.finished else progress.eta,
        "restarts": status.restarts.total,
        "created": created.isoformat() if created else None,
    }


def details(job: DLTrainJob) -> dict[str, Any]:
    """Everything about one job that is in its object."""
    return {
        **summary(job),
        "ranks": resolved(job).spec.workers.world_size,
        "points": POINTS,
        "status": job.status.to_dict(),
        "spec": job.to_manifest()["spec"],
    }


def surroundings(pods: Sequence[WorkerPod], events: Sequence[ClusterEvent], story: str) -> dict[str, Any]:
    """What the cluster knows around a job."""
    return {
        "pods": [pod.to_dict() for pod in pods],
        "events": [event.to_dict() for event in events],
        "story": story,
    }
