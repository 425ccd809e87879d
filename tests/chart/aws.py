"""The files for EKS, and the sources of the tools that they are for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.rendering import ROOT, objects
from tests.cluster.build import download
from tests.cluster.host import ClusterFailure, why_not
from tests.cluster.versions import Module

AWS: Final = ROOT / "manifests" / "aws"
EKSCTL: Final = Module("github.com/weaveworks/eksctl", "v0.215.0", {})
KARPENTER: Final = Module("github.com/aws/karpenter-provider-aws", "v1.13.1", {})
PROFILES: Final = sorted((AWS / "profiles").glob("*.yaml"))
POOLS: Final = [each for each in objects((AWS / "karpenter.yaml").read_text()) if each["kind"] == "NodePool"]
GROUPS: Final = [
    each for each in yaml.safe_load((AWS / "cluster.yaml").read_text())["managedNodeGroups"] if each["name"] != "system"
]
"""The node groups with GPUs."""
TAINT: Final = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
INSTANCE: Final = "node.kubernetes.io/instance-type"
EFA: Final = "vpc.amazonaws.com/efa"
HUGE_PAGES: Final = "hugepages-2Mi"


def source(module: Module) -> Path:
    """A Go module's files; a test is skipped where Go or the module is not to be had."""
    if reason := why_not():
        pytest.skip(reason)
    try:
        return Path(download(module, os.environ)["Dir"])
    except ClusterFailure as failure:
        pytest.skip(f"cannot fetch {module.path}: {str(failure).splitlines()[-1]}")


def profile(name: str) -> dict[str, Any]:
    """The profile of an instance type, as written."""
    manifest: dict[str, Any] = yaml.safe_load((AWS / "profiles" / f"{name}.yaml").read_text())
    return manifest
