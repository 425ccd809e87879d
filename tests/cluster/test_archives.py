"""Images as files: what a reader of the formats finds in them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.archives import digest, image_archive, oci_layout, tar_of


def content(archive: bytes) -> dict[str, bytes]:
    """The files of a tar by name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # all are files


def test_a_tar_holds_the_files_with_their_mode() -> None:
    archive = tar_of({"a": b"1", "b/c": b""}, mode=0o755)
    assert content(archive) == {"a": b"1", "b/c": b""}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {member.mode for member in tar} == {0o755}


def test_the_same_files_make_the_same_tar() -> None:
    assert tar_of({"a": b"1"}) == tar_of({"a": b"1"})


def test_a_digest_is_the_sha256_with_its_name() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_an_image_archive_runs_its_one_program_as_nobody() -> None:
    files = content(image_archive("localhost/pause:1", "/pause", b"program"))
    assert content(files["layer.tar"]) == {"pause": b"program"}
    assert json.loads(files["manifest.json"]) == [
        {"Config": "config.json", "RepoTags": ["localhost/pause:1"], "Layers": ["layer.tar"]}
    ]
    assert json.loads(files["config.json"]) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535"},
        "rootfs": {"type": "layers", "diff_ids": [digest(files["layer.tar"])]},
    }


ROOTFS = tar_of({"etc/hostname": b"base\n"})


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An OCI layout made of a small root file system."""
    rootfs = tmp_path / "root.tar"
    rootfs.write_bytes(ROOTFS)
    oci_layout(rootfs, tmp_path / "layout")
    return tmp_path / "layout"


def blob(layout: Path, described: dict[str, Any]) -> bytes:
    """The content that a descriptor of the layout means, checked against its digest and size."""
    data = (layout / "blobs" / "sha256" / described["digest"].removeprefix("sha256:")).read_bytes()
    assert (digest(data), len(data)) == (described["digest"], described["size"])
    return data


def test_a_layout_leads_from_its_index_to_the_root_file_system(layout: Path) -> None:
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(layout, index["manifests"][0]))
    config = json.loads(blob(layout, manifest["config"]))
    assert [blob(layout, layer) for layer in manifest["layers"]] == [ROOTFS]
    assert config["rootfs"] == {"type": "layers", "diff_ids": [digest(ROOTFS)]}
    assert len(config["history"]) == len(manifest["layers"]), "an image builder counts on one entry a layer"


def test_a_layout_is_named_by_the_digest_of_its_manifest_and_consumes_the_tar(tmp_path: Path) -> None:
    rootfs = tmp_path / "root.tar"
    rootfs.write_bytes(ROOTFS)
    name = oci_layout(rootfs, tmp_path / "layout")
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    assert name == index["manifests"][0]["digest"]
    assert not rootfs.exists()


def test_the_same_root_file_system_makes_the_same_layout(tmp_path: Path) -> None:
    names = []
    for folder in ("first", "second"):
        rootfs = tmp_path / f"{folder}.tar"
        rootfs.write_bytes(ROOTFS)
        names.append(oci_layout(rootfs, tmp_path / folder))
    assert names[0] == names[1]
    assert hashlib.sha256(ROOTFS).hexdigest() in {path.name for path in (tmp_path / "first/blobs/sha256").iterdir()}
