"""The chart as helm renders it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.apiserver import programs_folder

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "helm" / "dltrain"
SYSTEM: Final = "dltrain-system"
Manifest = dict[str, Any]


def program(name: str) -> Path:
    """A compiled program; a test that needs a missing one is skipped."""
    path = programs_folder() / name
    if not path.exists():
        pytest.skip(f"needs {name} in {programs_folder()} (`python3 -m tests.cluster tools`)")
    return path


def render(values: Mapping[str, Any] | None = None, *files: str, namespace: str = SYSTEM) -> str:
    """What `helm template` prints for some values.

    Args:
        values: given as a file on standard input, above the others.
        files: of values, in the chart's folder.
        namespace: the release's.
    """
    command: list[str | Path] = [program("helm"), "template", "dltrain", CHART, "--namespace", namespace]
    command += [f"--values={CHART / file}" for file in files]
    done = subprocess.run(
        [*command, "--values=-"], input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[Manifest]:
    """The objects in a text of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]


def hooks(manifest: Manifest) -> bool:
    """Whether an object belongs to `helm test` and not to the installation."""
    return "helm.sh/hook" in manifest["metadata"].get("annotations", {})


def named(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Objects by kind, namespace and name."""
    return {key(manifest): manifest for manifest in manifests}


def key(manifest: Manifest) -> str:
    """Kind, namespace (if any) and name."""
    metadata = manifest["metadata"]
    return "/".join(filter(None, (manifest["kind"], metadata.get("namespace"), metadata["name"])))


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The one object of a kind."""
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found
