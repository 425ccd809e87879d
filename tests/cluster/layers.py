"""What each layer of an image takes and what made it, from its manifest and configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
SHOWN = 90


def layer_lines(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """A line a layer, the base first: MiB and the command that made it.

    Args:
        manifest: OCI image manifest.
        config: OCI image configuration.
    """
    made = [entry.get("created_by", "") for entry in config["history"] if not entry.get("empty_layer")]
    sizes = [layer["size"] for layer in manifest["layers"]]
    lines = [f"{size / MIB:9.1f} MiB  {shown(text)}" for size, text in zip(sizes, made, strict=True)]
    return [*lines, f"{sum(sizes) / MIB:9.1f} MiB  in {len(sizes)} layers, uncompressed"]


def shown(command: str) -> str:
    """A command of a Dockerfile in a line, without its mounts."""
    words = re.sub(r"--mount=\S+|# buildkit|/bin/sh -c", "", command)
    return " ".join(words.split())[:SHOWN] or "the base"


def layers_of(blobs: Path, digest: str) -> list[str]:
    """The layers of the image whose manifest has a digest.

    Args:
        blobs: a folder of content by SHA-256.
        digest: as in sha256:0123.
    """
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
    if "manifests" in manifest:  # an index; its first entry is the image, any other tells where it comes from
        return layers_of(blobs, manifest["manifests"][0]["digest"])
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    return layer_lines(manifest, config)


def digest_in(log: str) -> str:
    """The digest of the image that a build's log ends with."""
    found = re.findall(r"exporting (?:manifest list|manifest) (sha256:[0-9a-f]{64})", log)
    assert found, "BuildKit tells what it has exported"
    return str(found[-1])
