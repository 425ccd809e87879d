"""Copying what a job has stored; from a volume of a real cluster it is in the end-to-end tests."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dltrain.artefacts import StoredFile, await_running, reader_manifest, unpacked
from dltrain.bucket.folder import BucketFolder
from dltrain.bucket.system import CONFIGURATION
from dltrain.errors import ClusterError, NotFoundError, SpecError, StorageError
from tests.apiserver import ApiServer
from tests.buckets import BUCKET, BucketServer
from tests.sdk.builders import condition, job
from tests.sdk.test_both_clients import write_status


def finished(api_server: ApiServer, either: Any, artifacts: str | None) -> None:
    """A complete job whose artefacts are somewhere."""
    either.submit(job())
    results = {"artifacts": artifacts} if artifacts else None
    write_status(api_server, either.namespace, conditions=[condition("Complete")], results=results)


def test_a_folder_of_a_bucket_is_copied(api_server: ApiServer, either: Any, tmp_path: Path) -> None:
    stored = tmp_path / "bucket" / "a-1"
    (stored / "deep").mkdir(parents=True)
    (stored / "model").write_text("weights")
    (stored / "deep" / "curve").write_text("1")
    finished(api_server, either, f"file://{stored}")
    files = either.download("a", tmp_path / "copy")
    assert files == [tmp_path / "copy" / "deep" / "curve", tmp_path / "copy" / "model"]
    assert files[1].read_text() == "weights"


@pytest.fixture
def bucket(buckets: BucketServer, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    monkeypatch.setenv("AWS_ENDPOINT_URL", buckets.address)
    return buckets


def test_what_is_in_a_bucket_is_listed_and_copied(
    api_server: ApiServer, either: Any, tmp_path: Path, bucket: BucketServer
) -> None:
    address = f"s3://{BUCKET}/a-1"
    for name, content in {"model.json": "{}", "logs/attempt-1/rank-0.log": "line", ".owner.json": "{}"}.items():
        (tmp_path / "file").write_text(content)
        BucketFolder(address).put(tmp_path / "file", name)
    finished(api_server, either, address)
    assert either.artefacts("a") == [StoredFile("logs/attempt-1/rank-0.log", 4), StoredFile("model.json", 2)]
    files = either.download("a", tmp_path / "copy")
    assert files == [tmp_path / "copy" / "logs/attempt-1/rank-0.log", tmp_path / "copy" / "model.json"]
    assert files[0].read_text() == "line"


def test_a_bucket_that_is_away_is_said_to_be(
    api_server: ApiServer, either: Any, tmp_path: Path, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGURATION, "retries", {"max_attempts": 1})
    finished(api_server, either, f"s3://{BUCKET}/a-1")
    bucket.fault = lambda _method, _path: "busy"
    with pytest.raises(StorageError, match=f"s3://{BUCKET}/a-1: cannot be reached"):
        either.download("a", tmp_path)


@pytest.mark.parametrize(
    ("artifacts", "said"),
    [
        pytest.param(None, "job a has no artefacts yet", id="none yet"),
        pytest.param("/tmp/output", "job a has no storage: /tmp/output was in its first pod", id="no storage"),
    ],
)
def test_what_is_not_there_is_said(
    api_server: ApiServer, either: Any, tmp_path: Path, artifacts: str | None, said: str
) -> None:
    finished(api_server, either, artifacts)
    with pytest.raises(NotFoundError, match=said):
        either.download("a", tmp_path)


def test_a_volume_of_a_job_without_pods_needs_an_image(api_server: ApiServer, either: Any, tmp_path: Path) -> None:
    finished(api_server, either, "pvc://models/a-1")
    with pytest.raises(SpecError, match="image: cannot be told, for the job has no pods any more; name one"):
        either.download("a", tmp_path)


def test_the_pod_that_reads_a_volume_satisfies_the_api_and_cannot_write(api_server: ApiServer, either: Any) -> None:
    made = either.submit(job())
    path = f"/api/v1/namespaces/{either.namespace}/pods"
    pod = api_server.request("POST", path, reader_manifest(made, "models", "image"))
    assert pod["metadata"]["name"].startswith("a-reader-")
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def archive_of(name: str) -> bytes:
    """An archive with one file."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    return data.getvalue()


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="is not whole"):
        unpacked(archive_of("../outside"), tmp_path / "copy")
    assert not (tmp_path / "outside").exists()
    assert unpacked(archive_of("./inside"), tmp_path / "copy") == [tmp_path / "copy" / "inside"]


def test_half_an_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="is not whole"):
        unpacked(archive_of("file")[:600], tmp_path / "copy")


def test_a_pod_that_does_not_start_is_told_with_its_reason() -> None:
    waits = {"phase": "Pending", "conditions": [{"status": "False", "message": "0/3 nodes are available"}]}
    with pytest.raises(ClusterError, match="does not start: 0/3 nodes are available"):
        await_running(iter([json.dumps({"object": {"status": waits}}).encode()]))
    await_running(iter([json.dumps({"object": {"status": {"phase": "Running"}}}).encode()]))
