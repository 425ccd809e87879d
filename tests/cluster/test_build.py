"""What the Go toolchain is told to build the cluster's programs."""

from __future__ import annotations

import pytest

from tests.cluster.build import go_mod, link_flags
from tests.cluster.versions import Module

KUBERNETES = Module("k8s.io/kubernetes", "v1.37.2", {}, stamp_variable="k8s.io/component-base/version")
UPSTREAM = """module k8s.io/kubernetes

require (
	k8s.io/api v0.0.0
	k8s.io/client-go v0.0.0
	k8s.io/kube-openapi v0.0.0-20260317180543-43fb72c5454a
	k8s.io/utils v0.0.0-20260210185600-b8788abfbbc2
	github.com/spf13/cobra v1.10.2
)

replace k8s.io/api => ./staging/src/k8s.io/api
"""


def test_staging_modules_are_replaced_by_their_release_and_others_are_not() -> None:
    assert go_mod(KUBERNETES, UPSTREAM).splitlines() == [
        "module testcluster",
        "go 1.26",
        "require k8s.io/kubernetes v1.37.2",
        "replace k8s.io/api => k8s.io/api v0.37.2",
        "replace k8s.io/client-go => k8s.io/client-go v0.37.2",
    ]


def test_a_module_without_staging_modules_is_only_required() -> None:
    module = Module("go.etcd.io/etcd/server/v3", "v3.6.16", {})
    lines = ["module testcluster", "go 1.26", "require go.etcd.io/etcd/server/v3 v3.6.16"]
    assert go_mod(module, "require github.com/spf13/cobra v1.10.2\n").splitlines() == lines


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        pytest.param(Module("example.org/tool", "v3.6.16", {}), "-s -w", id="a program that does not ask"),
        pytest.param(
            KUBERNETES,
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2"
            " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
            id="a program that must know its version",
        ),
    ],
)
def test_linker_options(module: Module, flags: str) -> None:
    assert link_flags(module) == flags
