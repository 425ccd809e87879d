"""Copying what a job has stored to this machine: from a volume claim through a small pod, from a bucket directly."""

from __future__ import annotations

import io
import json
import os
import shlex
import tarfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from dltrain.api.job import DLTrainJob
from dltrain.api.storage import S3, S3_SCHEME
from dltrain.bucket.folder import BucketFolder
from dltrain.errors import ClusterError, NotFoundError, Problem, SpecError
from dltrain.names import API_VERSION, KIND, STORAGE_DIR
from dltrain.software import require

LIFE_SECONDS: Final = 3600
"""How long the pod that reads a volume lives at most, whatever becomes of who made it."""
CLAIM: Final = "pvc://"
READER: Final = "reader"
AT_ONCE: Final = 8
"""Objects copied at the same time."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a job has stored."""

    name: str
    """Below the job's folder."""
    size: int
    """Bytes."""


class Cluster(Protocol):
    """What copying from a volume needs of a connection."""

    def request(self, method: str, path: str, query: Any = None, body: Any = None) -> dict[str, Any]:
        """Ask for JSON."""

    def stream(self, path: str, query: Any, patience: float | None) -> AbstractContextManager[Iterator[bytes]]:
        """The lines of an answer that goes on."""

    def execute(self, path: str, command: list[str], container: str) -> Iterator[bytes]:
        """Run a command in a pod; its output."""


def address_of(job: DLTrainJob) -> str:
    """Where a job's artefacts are.

    Raises:
        NotFoundError: it has none yet, or kept them in a pod that is gone.
    """
    uri = job.status.results.artifacts if job.status.results else None
    if not uri:
        raise NotFoundError(f"job {job.name} has no artefacts yet; `dltrain watch` tells when, or look at its failure")
    if "://" not in uri:
        raise NotFoundError(
            f"job {job.name} has no storage: {uri} was in its first pod and is lost with it; give it spec.storage"
        )
    return uri


def bucket_of(job: DLTrainJob, uri: str) -> BucketFolder:
    """A job's folder of a bucket, with this machine's credentials; AWS_ENDPOINT_URL wins over the job's endpoint.

    Raises:
        MissingSoftwareError: the library for it is not installed here.
    """
    settings = job.spec.storage.bucket if job.spec.storage else S3()
    if os.environ.get("AWS_ENDPOINT_URL"):  # the job's may be a name of the cluster's own
        settings = settings.model_copy(update={"endpoint": None})
    return BucketFolder(uri, settings)


def copied(cluster: Cluster, job: DLTrainJob, folder: Path, image: Callable[[], str]) -> list[Path]:
    """Copy a job's artefacts from wherever they are.

    Args:
        cluster: the connection.
        job: the job.
        folder: where to.
        image: says which image a pod that reads a volume claim is to have.

    Raises:
        NotFoundError: as in address_of.
        ClusterError: as in copied_from_claim.
        StorageError: as in copied_from_bucket.
    """
    return copied_from(cluster, job, address_of(job), folder, image)


def copied_from(cluster: Cluster, job: DLTrainJob, uri: str, folder: Path, image: Callable[[], str]) -> list[Path]:
    """Copy a folder of a job's storage; the other arguments and the errors are those of copied."""
    if uri.startswith(CLAIM):
        return copied_from_claim(cluster, job, uri, folder, image())
    return copied_from_bucket(job, uri, folder)


def listed(cluster: Cluster, job: DLTrainJob, image: Callable[[], str]) -> list[StoredFile]:
    """What a job has stored, wherever it is; arguments and errors are those of copied."""
    uri = address_of(job)
    if uri.startswith(CLAIM):
        return listed_on_claim(cluster, job, uri, image())
    return listed_in_bucket(job, uri)


def listed_in_bucket(job: DLTrainJob, uri: str) -> list[StoredFile]:
    """What is in a job's folder of a bucket.

    Raises:
        StorageError: the bucket refuses, or is away.
    """
    return stored_in(bucket_of(job, uri))


def stored_in(bucket: BucketFolder) -> list[StoredFile]:
    """What a job has stored in a folder of a bucket; what dltrain keeps there for itself is left out.

    Raises:
        StorageError: the bucket refuses, or is away.
    """
    found = sorted(bucket.list().values(), key=lambda one: one.name)
    return [StoredFile(one.name, one.size) for one in found if not one.name.startswith(".")]


def copied_from_s3(job: DLTrainJob, uri: str, folder: Path) -> list[Path]:
    """Copy a job's folder of a bucket, every object verified.

    Raises:
        StorageError: the bucket refuses, or is away; or an object arrives damaged.
    """
    bucket = bucket_of(job, uri)
    names = [one.name for one in stored_in(bucket)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: bucket.get(name, folder / name), names))
    return [folder / name for name in names]


def copied_from_bucket(job: DLTrainJob, uri: str, folder: Path) -> list[Path]:
    """Copy a folder of S3, or of any other file system that fsspec knows.

    Raises:
        MissingSoftwareError: fsspec is not installed here.
        StorageError: the bucket refuses, or is away.
    """
    if uri.startswith(S3_SCHEME):
        return copied_from_s3(job, uri, folder)
    require("copying artefacts from a bucket", "fsspec")
    import fsspec  # type: ignore[import-untyped]  # noqa: PLC0415 - of the extra `s3`

    system, path = fsspec.core.url_to_fs(uri)
    folder.mkdir(parents=True, exist_ok=True)
    system.get(f"{path.rstrip('/')}/", f"{folder}/", recursive=True)
    return sorted(file for file in folder.rglob("*") if file.is_file())


def copied_from_claim(cluster: Cluster, job: DLTrainJob, uri: str, folder: Path, image: str) -> list[Path]:
    """Copy a folder of a volume claim, through a pod that mounts it to be read only.

    Raises:
        ClusterError: the pod cannot be made or does not start, or the copy is not whole.
    """
    return unpacked(said_of_claim(cluster, job, uri, image, "tar -C {} -cf - . || exit 3"), folder)


def listed_on_claim(cluster: Cluster, job: DLTrainJob, uri: str, image: str) -> list[StoredFile]:
    """What is in a folder of a volume claim.

    Raises:
        ClusterError: the pod cannot be made or does not start.
    """
    said = said_of_claim(cluster, job, uri, image, "find {} -type f -printf '%s %P\\n'").decode()
    pairs = (line.partition(" ") for line in said.splitlines())
    return sorted((StoredFile(name, int(size)) for size, _, name in pairs), key=lambda one: one.name)


def said_of_claim(cluster: Cluster, job: DLTrainJob, uri: str, image: str, shell: str) -> bytes:
    """What a command says of a folder of a volume claim; {} stands for the folder.

    Raises:
        ClusterError: the pod cannot be made or does not start.
    """
    claim, _, path = uri.removeprefix(CLAIM).partition("/")
    if not image:
        remedy = "name one: image='dltrain/trainer:0.1.0', or --image on the command line"
        raise SpecError([Problem("image", "cannot be told, for the job has no pods any more", remedy=remedy)])
    with reader_pod(cluster, job, claim, image) as pod:
        where = shlex.quote(f"{STORAGE_DIR}/{path}")
        return b"".join(cluster.execute(pod, ["sh", "-c", shell.replace("{}", where)], READER))


def unpacked(data: bytes, folder: Path) -> list[Path]:
    """The files of an archive, written below a folder and nowhere else.

    Raises:
        ClusterError: the archive is not whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
            archive.extractall(folder, members, filter="data")
    except tarfile.TarError as error:
        raise ClusterError(f"the copy of the artefacts is not whole: {error}; try again") from error
    return sorted(folder / PurePosixPath(each.name) for each in members if each.isfile())


@contextmanager
def reader_pod(cluster: Cluster, job: DLTrainJob, claim: str, image: str) -> Iterator[str]:
    """The path of a running pod that mounts a claim; it is deleted at the end of the block."""
    pods = f"/api/v1/namespaces/{job.namespace}/pods"
    made = cluster.request("POST", pods, body=reader_manifest(job, claim, image))
    path = f"{pods}/{made['metadata']['name']}"
    try:
        query = {"fieldSelector": f"metadata.name={made['metadata']['name']}", "timeoutSeconds": 120, "watch": True}
        with cluster.stream(pods, query, 130) as lines:
            await_running(lines)
        yield path
    except BaseException:
        with suppress(ClusterError):  # it tells less than what has happened already, and the pod's life is limited
            remove(cluster, path)
        raise
    remove(cluster, path)


def remove(cluster: Cluster, path: str) -> None:
    """Delete a pod at once; one that has gone already is no error.

    Raises:
        ClusterError: it may not be deleted, or the server is away.
    """
    with suppress(NotFoundError):
        cluster.request("DELETE", path, body={"gracePeriodSeconds": 0})


def await_running(lines: Iterator[bytes]) -> None:
    """Read a watch of one pod until it runs.

    Raises:
        ClusterError: it does not.
    """
    status: Mapping[str, Any] = {}
    for line in lines:
        status = json.loads(line)["object"].get("status", {})
        if status.get("phase") == "Running":
            return
        if status.get("phase") in {"Failed", "Succeeded"}:
            break
    reasons = [each.get("message", "") for each in status.get("conditions", ()) if each.get("status") == "False"]
    raise ClusterError(f"the pod that reads the volume does not start: {'; '.join(filter(None, reasons)) or status}")


def reader_manifest(job: DLTrainJob, claim: str, image: str) -> dict[str, Any]:
    """A pod that mounts a claim to be read only and waits; it goes with the job."""
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": job.name, "uid": job.metadata.uid}
    locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    user = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": READER,
        "image": image,
        "command": ["sleep", str(LIFE_SECONDS)],
        "securityContext": locked,
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "storage", "mountPath": STORAGE_DIR, "readOnly": True}],
    }
    return {
        "metadata": {"generateName": f"{job.name}-{READER}-", "ownerReferences": [owner]},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_SECONDS,
            "automountServiceAccountToken": False,
            "securityContext": user,
            "containers": [container],
            "volumes": [{"name": "storage", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}],
        },
    }
