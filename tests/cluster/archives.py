"""Container images as files: a docker archive of one program, an OCI layout of one root file system."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any


def tar_of(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    """A tar of some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    """The content address of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def image_archive(name: str, path: str, program: bytes) -> bytes:
    """A docker archive of an image that holds one static program and runs it as nobody."""
    layer = tar_of({path.lstrip("/"): program}, 0o755)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [path], "User": "65535"},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return tar_of(files)


def oci_layout(rootfs: Path, folder: Path) -> str:
    """Wrap a root file system's tar as an OCI image layout of one uncompressed layer; the image's digest.

    Source: OCI image layout specification 1.0.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with rootfs.open("rb") as file:
        layer = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    shutil.move(rootfs, blobs / layer.removeprefix("sha256:"))

    def blob(kind: str, value: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(value).encode()
        (blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}+json", "digest": digest(data), "size": len(data)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created_by": "mmdebstrap"}],
    }
    size = (blobs / layer.removeprefix("sha256:")).stat().st_size
    layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size}]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1", config),
        "layers": layers,
    }
    described = blob("manifest.v1", manifest)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])
