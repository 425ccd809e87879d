"""The pod of one worker."""

from __future__ import annotations

from dataclasses import dataclass

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.overlay import overlay
from dltrain.template import CONTAINER_SECURITY, POD_SECURITY
from dltrain_operator.children.metadata import Manifest, child_metadata
from dltrain_operator.children.scheduling import avoiding, placement, queue_metadata
from dltrain_operator.children.secret import identity_secret_name
from dltrain_operator.children.storage import end_seconds, storage_variables, storage_volume


@dataclass(frozen=True, slots=True)
class Place:
    """Which pod of which worker, and what it must know from the start."""

    index: int
    incarnation: int
    """Counts the pods of this worker, from 1."""
    key_version: str
    """The version of the master key behind the job's identity."""
    past_attempts: int
    """The attempts that the job has already had: numbers go on even when every pod is a new one."""
    user_restarts: int
    """The user errors that the job has already had."""
    avoid: tuple[str, ...] = ()
    """The nodes where it is not to be."""


def worker_pod(job: DLTrainJob, place: Place, image: str) -> Manifest:
    """The pod of one incarnation of a worker: ours, with the job's template laid over it.

    What tells workers apart and makes a pod a part of its job always wins over the template.

    Args:
        job: the job.
        place: the pod's place in it.
        image: the image of jobs that name none.
    """
    identity = overlay(pod_identity(job, place), {"metadata": queue_metadata(job)})
    ours = overlay({"spec": pod_spec(job, image)}, identity)
    return avoiding(overlay(overlay(ours, job.spec.workers.template), identity), place.avoid)


def pod_identity(job: DLTrainJob, place: Place) -> Manifest:
    """The part of a pod that no template may change."""
    metadata = child_metadata(job, names.pod_name(job.name, place.index, place.incarnation))
    labels = {
        **metadata["labels"],
        "app.kubernetes.io/component": "worker",
        names.INDEX_LABEL: str(place.index),
        names.INCARNATION_LABEL: str(place.incarnation),
        names.KEY_VERSION_LABEL: place.key_version,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "hostname": names.worker_host(job.name, place.index),
            "subdomain": job.name,
            "containers": [{"name": names.WORKER_CONTAINER, "env": identity_variables(place)}],
        },
    }


def identity_variables(place: Place) -> list[Manifest]:
    """What the agent learns of itself from its environment."""
    return [
        {"name": names.INDEX_VARIABLE, "value": str(place.index)},
        {"name": names.INCARNATION_VARIABLE, "value": str(place.incarnation)},
        {"name": names.PAST_ATTEMPTS_VARIABLE, "value": str(place.past_attempts)},
        {"name": names.USER_RESTARTS_VARIABLE, "value": str(place.user_restarts)},
        {"name": names.POD_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": names.NODE_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": names.JOB_FILE_VARIABLE, "value": names.JOB_FILE},
    ]


def pod_spec(job: DLTrainJob, image: str) -> Manifest:
    """The part of a pod that a template may change; it satisfies Pod Security "restricted"."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": end_seconds(job.spec.storage),
        "securityContext": dict(POD_SECURITY),
        **placement(job),
        "containers": [worker_container(job, image)],
        "volumes": volumes(job),
    }


def worker_container(job: DLTrainJob, image: str) -> Manifest:
    """The container whose main process is the agent."""
    workers, shared = job.spec.workers, job.spec.scheduling.shared_claims
    claims = {"claims": [{"name": one.name} for one in shared]} if shared else {}
    return {
        "name": names.WORKER_CONTAINER,
        "image": workers.image or image,
        "command": ["python3", "-m", "dltrain_agent"],
        "workingDir": names.WORKSPACE_DIR,
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a volume of the pod's own
            *storage_variables(job.spec.storage),
        ],
        "ports": [{"name": "control", "containerPort": names.CONTROL_PORT, "protocol": "TCP"}],
        "resources": {**workers.resources.to_dict(), **claims},
        "terminationMessagePath": names.TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": [
            {"name": "job", "mountPath": names.JOB_DIR, "readOnly": True},
            {"name": "identity", "mountPath": names.IDENTITY_DIR, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - see HOME
            {"name": "workspace", "mountPath": names.WORKSPACE_DIR},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - where MPI exchanges data between ranks
            {"name": names.STORAGE_VOLUME, "mountPath": names.STORAGE_DIR},
            *source_mounts(job),
        ],
    }


def volumes(job: DLTrainJob) -> list[Manifest]:
    """The volumes of a worker pod."""
    return [
        {"name": "job", "configMap": {"name": job.name}},
        {"name": "identity", "secret": {"secretName": identity_secret_name(job), "defaultMode": 0o440}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "workspace", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": names.STORAGE_VOLUME, **storage_volume(job.spec.storage)},
        *source_volumes(job),
    ]


def source_claims(job: DLTrainJob) -> tuple[str, ...]:
    """The volume claims that the job reads from, each once."""
    return job.spec.pipeline.claims if job.spec.pipeline else ()


def source_volume(job: DLTrainJob, claim: str) -> str:
    """The volume of a claim to read from: one claim is one volume, even if the job writes to it, too."""
    storage, place = job.spec.storage, source_claims(job).index(claim)
    if storage and storage.claim_name == claim:
        return names.STORAGE_VOLUME
    return f"{names.SOURCE_VOLUME}-{place + 1}" if place else names.SOURCE_VOLUME


def source_mounts(job: DLTrainJob) -> list[Manifest]:
    """Where what the job reads is mounted, as far as it is on claims."""
    return [
        {"name": source_volume(job, claim), "mountPath": f"{names.CLAIMS_DIR}/{claim}", "readOnly": True}
        for claim in source_claims(job)
    ]


def source_volumes(job: DLTrainJob) -> list[Manifest]:
    """The volumes of what the job reads, as far as they are on claims that are not the storage's.

    They are read-only: else the kubelet may give their files to the pod's group.
    """
    volumes = {claim: source_volume(job, claim) for claim in source_claims(job)}
    return [
        {"name": volume, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        for claim, volume in volumes.items()
        if volume != names.STORAGE_VOLUME
    ]
