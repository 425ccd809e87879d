"""The pinned programs: each exactly, and each once."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.cluster.versions import MODULES, TOOLS, Module

STARTED = {
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "coredns",
    "containerd",
    "kubelet",
    "kube-proxy",
    "buildkitd",
}
"""What the cluster and its image store start as daemons."""
CALLED = {"kubectl", "ctr", "buildctl", "containerd-shim-runc-v2", "bridge", "loopback", "host-local", "portmap"}
"""What these, or the command line, call."""


def test_every_program_of_the_cluster_is_built_by_one_module() -> None:
    built = Counter(name for module in (*MODULES, *TOOLS) for name in module.programs)
    assert (STARTED | CALLED) - built.keys() == set()
    assert [name for name, times in built.items() if times > 1] == []


@pytest.mark.parametrize("module", [*MODULES, *TOOLS], ids=lambda module: module.path)
def test_a_version_is_one_release(module: Module) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+", module.version)


@pytest.mark.parametrize("module", [*MODULES, *TOOLS], ids=lambda module: module.path)
def test_a_module_path_names_the_major_version_that_is_pinned(module: Module) -> None:
    """Go modules from version 2 on end with it (Go modules reference, "Major version suffixes")."""
    major = re.match(r"v(\d+)", module.version)
    suffix = re.search(r"/v(\d+)$", module.path)
    assert major is not None
    assert (int(suffix[1]) if suffix else 1) == max(int(major[1]), 1)
