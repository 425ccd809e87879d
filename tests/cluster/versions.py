"""The programs that the cluster is made of, pinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KUBERNETES: Final = "v1.37.2"
BUILD_TAGS: Final = "no_btrfs,no_devmapper,no_zfs"
"""What of containerd's storage is left out: it needs C libraries."""


@dataclass(frozen=True)
class Module:
    """A Go module, and the programs to build from it."""

    path: str
    version: str
    programs: dict[str, str]
    """Program name -> package, relative to the module."""
    in_place: bool = False
    """Built inside the module's own folder, for its go.mod has replacements that only count there."""
    stamp_variable: str = ""
    """The Go package whose Version variables are set, for programs that refuse to run without."""


MODULES: Final = (
    Module(
        "k8s.io/kubernetes",
        KUBERNETES,
        {
            name: f"cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        },
        stamp_variable="k8s.io/component-base/version",
    ),
    Module("go.etcd.io/etcd/server/v3", "v3.6.16", {"etcd": "."}),
    Module(
        "github.com/containerd/containerd/v2",
        "v2.4.2",
        {name: f"cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    ),
    Module(
        "github.com/containernetworking/plugins",
        "v1.9.1",
        {
            "bridge": "plugins/main/bridge",
            "loopback": "plugins/main/loopback",
            "host-local": "plugins/ipam/host-local",
            "portmap": "plugins/meta/portmap",
        },
    ),
    Module("github.com/coredns/coredns", "v1.15.0", {"coredns": "."}),
    Module(
        "github.com/moby/buildkit",
        "v0.34.2",
        {"buildkitd": "cmd/buildkitd", "buildctl": "cmd/buildctl"},
        in_place=True,
    ),
)

DEVICES: Final = Module(
    "sigs.k8s.io/dra-example-driver",
    "v0.2.1",
    {"dra-example-kubeletplugin": "cmd/dra-example-kubeletplugin"},
)
KUEUE: Final = Module("sigs.k8s.io/kueue", "v0.15.0", {"kueue": "cmd/kueue"})
TOOLS: Final = (
    Module("helm.sh/helm/v4", "v4.3.1", {"helm": "cmd/helm"}),
    Module("github.com/yannh/kubeconform", "v0.8.0", {"kubeconform": "cmd/kubeconform"}),
    Module(
        "github.com/prometheus/prometheus", "v0.316.0", {name: f"cmd/{name}" for name in ("prometheus", "promtool")}
    ),
    KUEUE,
    DEVICES,
)
"""What tests call or run; the cluster itself does not need them."""

DEBIAN_PACKAGES: Final = {
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "pkill": "procps",
    "openssl": "openssl",
    "mmdebstrap": "mmdebstrap",
}
"""Program -> the Debian package that has it."""
