"""What all children of a job have in common: labels, the owner, the hash of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from dltrain import names
from dltrain.api.job import DLTrainJob

Manifest = dict[str, Any]
"""An API object as it is sent."""
FIELD_MANAGER: Final = "dltrain-operator"


def labels_of(job: DLTrainJob) -> dict[str, str]:
    """The labels of everything that belongs to a job."""
    return {
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        "app.kubernetes.io/name": "dltrain",
        "app.kubernetes.io/instance": job.name,
        names.JOB_LABEL: job.name,
    }


def owner_reference(job: DLTrainJob) -> Manifest:
    """The reference by which Kubernetes deletes a child with its job.

    It does not block the owner's deletion: that would need the right to update the job's finalizers.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job.name,
        "uid": job.metadata.uid,
        "controller": True,
    }


def child_metadata(job: DLTrainJob, name: str) -> Manifest:
    """The metadata of a child."""
    return {
        "name": name,
        "namespace": job.namespace,
        "labels": labels_of(job),
        "ownerReferences": [owner_reference(job)],
    }


def hashed(manifest: Manifest) -> Manifest:
    """A manifest with the hash of its content as an annotation."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.HASH_ANNOTATION: content_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def content_hash(manifest: Mapping[str, Any]) -> str:
    """A short hash of a manifest."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
