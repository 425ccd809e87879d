"""What a job's pods use of CPU and memory, where the cluster has a metrics server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dltrain.api.job import DLTrainJob
from dltrain.effects import Program, Request
from dltrain.errors import ClusterError
from dltrain.names import JOB_LABEL, WORKER_CONTAINER
from dltrain.quantities import quantity
from dltrain.requests import ask


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What the worker container of a pod uses."""

    name: str
    cpu: float
    """CPUs."""
    memory: int
    """Bytes of working set."""


def usage_of(job: DLTrainJob) -> Program[list[PodUsage]]:
    """What a job's pods use; nothing where the cluster does not measure it."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{job.namespace}/pods"
    try:
        found = yield from ask(Request("GET", path, {"labelSelector": f"{JOB_LABEL}={job.name}"}))
    except ClusterError:
        return []
    return sorted(map(pod_usage, found["items"]), key=lambda pod: pod.name)


def pod_usage(manifest: Mapping[str, Any]) -> PodUsage:
    """A pod's figures."""
    containers = {each["name"]: each["usage"] for each in manifest["containers"]}
    usage = containers.get(WORKER_CONTAINER, {})
    name = manifest["metadata"]["name"]
    return PodUsage(name, float(quantity(usage.get("cpu", "0"))), int(quantity(usage.get("memory", "0"))))
