"""The headless Service that gives every worker a stable name."""

from __future__ import annotations

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain_operator.children.metadata import Manifest, child_metadata


def worker_service(job: DLTrainJob) -> Manifest:
    """`<job>-<index>.<job>` becomes the address of the worker's present pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(job, job.name),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # agents find each other before their pods are ready
            "selector": {names.JOB_LABEL: job.name},
            "ports": [{"name": "control", "port": names.CONTROL_PORT, "protocol": "TCP"}],
        },
    }
