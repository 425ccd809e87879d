"""JSON schemas of Kubernetes' objects, from the package kubernetes-validate, fetched once into the cache."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.host import state_folder

PACKAGE: Final = "kubernetes-validate==1.37.0"
"""Holds the schemas of the first release of each minor version."""
VERSIONS: Final = tuple(f"1.{minor}.0" for minor in range(31, 38))


def schema_location() -> str:
    """Where kubeconform finds the strict schemas, in its own form.

    A test is skipped where the package is neither in the cache nor to be had.
    """
    home = state_folder().parent / "schemas" / PACKAGE.replace("==", "@")
    if not home.exists() and (problem := fetch(home)):
        pytest.skip(f"cannot fetch {PACKAGE}: {problem}")
    return f"{home}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def fetch(home: Path) -> str:
    """Get the package, and from it the schemas; what went wrong, or nothing."""
    uv = next(state_folder().parent.glob("uv-*/bin/uv"), None)
    if uv is None:
        return "uv is not there: make install"
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        package, new = Path(scratch, "package"), Path(scratch, "schemas")
        command = [str(uv), "pip", "install", "--quiet", "--no-config", "--no-deps", "--target", str(package), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        for version in VERSIONS:
            copy(package / f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict", new / f"v{version}")
        keep(new, home)
    return ""


def keep(new: Path, home: Path) -> None:
    """Put a folder in its place, unless another process of the tests has been quicker."""
    try:
        new.rename(home)
    except OSError:
        if not home.exists():
            raise


def copy(source: Path, target: Path) -> None:
    """Copy a version's schemas, without the identity that keeps kubeconform from finding what they refer to."""
    target.mkdir(parents=True)
    for file in source.glob("*.json"):
        schema = json.loads(file.read_text().replace("/api/_definitions.json#", "_definitions.json#"))
        schema.pop("$id", None)
        (target / file.name).write_text(json.dumps(schema))
