"""The Secret that holds what makes a pod a member of its job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dltrain.api.job import DLTrainJob
from dltrain.names import KEY_VERSION_LABEL
from dltrain_operator.children.metadata import Manifest, child_metadata

if TYPE_CHECKING:  # it needs the library for certificates, which a name does without
    from dltrain_operator.identity import Identity


def identity_secret_name(job: DLTrainJob) -> str:
    """The name of a job's identity Secret.

    It holds the job's uid, for the operator cannot look at Secrets: under a name without it, the Secret of an
    earlier job of the same name, still to be deleted, would be taken for this job's.
    """
    return f"{job.name}-identity-{job.metadata.uid[:8]}"


def identity_secret(job: DLTrainJob, identity: Identity, key_version: str) -> Manifest:
    """The identity of a job's workers.

    Args:
        job: the job.
        identity: the authority's certificate, a worker's certificate and its key.
        key_version: the version of the master key that the authority was derived from.
    """
    metadata = child_metadata(job, identity_secret_name(job))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {**metadata, "labels": {**metadata["labels"], KEY_VERSION_LABEL: key_version}},
        "stringData": {
            "ca.crt": identity.authority.decode(),
            "tls.crt": identity.certificate.decode(),
            "tls.key": identity.key.decode(),
        },
    }
