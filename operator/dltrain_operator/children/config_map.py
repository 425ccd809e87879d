"""The ConfigMap that shows the job to its own pods."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain_operator.children.metadata import Manifest, child_metadata


def job_config_map(job: DLTrainJob) -> Manifest:
    """The job as the file that every pod mounts, with every default filled in."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(job, job.name),
        "data": {PurePosixPath(names.JOB_FILE).name: job_file(job)},
    }


def job_file(job: DLTrainJob) -> str:
    """The job as JSON: what identifies it and what it asks for."""
    identity = {"name": job.name, "namespace": job.namespace, "uid": job.metadata.uid}
    document = {
        "apiVersion": job.api_version,
        "kind": job.kind,
        "metadata": identity,
        "spec": job.spec.to_dict(),
    }
    return json.dumps(document, indent=1)
