"""The settings of the daemons, pure: tuned so that a dead node is seen within seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cluster.build import PAUSE_IMAGE
from tests.cluster.cgroups import PREFIX
from tests.cluster.network import CONTROL_ADDRESS, SERVICES, pod_range

GATES = ("GenericWorkload", "TopologyAwareWorkloadScheduling", "DRAWorkloadResourceClaims")
"""Kubernetes' own gang scheduling (KEP-4671), its topologies (KEP-5732) and the claims that gangs share (KEP-5729).

They are off by default, and every daemon has to know of them.
"""
FEATURES = "--feature-gates=" + ",".join(f"{gate}=true" for gate in GATES)
KEEP_EVERYTHING = """[plugins.'io.containerd.gc.v1.scheduler']
startup_delay = '87600h'
deletion_threshold = 0
mutation_threshold = 0
"""
"""For the image store: running nodes use its snapshots."""


def containerd(binaries: Path, *, store: bool = False) -> str:
    """containerd's settings."""
    return f"""version = 3
{KEEP_EVERYTHING if store else ""}
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{binaries}"]
conf_dir = "/var/lib/cni/net.d"
"""


def cni(node: str) -> dict[str, Any]:
    """The pod network: a bridge per node."""
    ranges = {"ranges": [[{"subnet": pod_range(node)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [{**bridge, "ipam": {"type": "host-local", **ranges}}, ports]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


def kubelet(pki: Path, node: str, resolv_conf: Path) -> dict[str, Any]:
    """The kubelet's settings; it says every second that it lives."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "featureGates": dict.fromkeys(GATES, True),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{PREFIX}/{node}",
        "failSwapOn": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "oomScoreAdj": 0,
        "clusterDNS": [CONTROL_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolv_conf),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "tlsCertFile": str(pki / f"{node}.crt"),
        "tlsPrivateKeyFile": str(pki / f"{node}.key"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "nodeLeaseDurationSeconds": 4,
        "nodeStatusUpdateFrequency": "1s",
        "syncFrequency": "10s",  # how late a pod sees a changed Secret
    }


def kube_proxy(pki: Path, node: str) -> dict[str, Any]:
    """kube-proxy's settings."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(pki / "kube-proxy.kubeconfig")},
        "hostnameOverride": node,
        "clusterCIDR": "10.77.0.0/16",
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    }


def corefile(kubeconfig: Path) -> str:
    """CoreDNS' settings: fresh answers only, and a prompt `no such name` for all that is not the cluster's."""
    return f"""cluster.local in-addr.arpa {{
  bind {CONTROL_ADDRESS}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 0
  }}
}}
. {{
  bind {CONTROL_ADDRESS}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""


def api_server(pki: Path) -> list[str]:
    """The API server's options."""
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={CONTROL_ADDRESS}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--authorization-mode=Node,RBAC",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-admission-plugins=NodeRestriction",
        FEATURES,
        "--runtime-config=scheduling.k8s.io/v1beta1=true,scheduling.k8s.io/v1alpha3=true",
        "--enable-aggregator-routing",  # webhooks are called by pod address: there is no kube-proxy here
        "--default-not-ready-toleration-seconds=1",
        "--default-unreachable-toleration-seconds=1",
    ]


def audit(policy: Path, log: Path) -> list[str]:
    """The API server's options that have it log requests."""
    return [f"--audit-policy-file={policy}", f"--audit-log-path={log}"]


def controller_manager(pki: Path) -> list[str]:
    """The controller manager's options."""
    return [
        f"--kubeconfig={pki}/kube-controller-manager.kubeconfig",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        FEATURES,
        "--leader-elect=false",
        "--use-service-account-credentials",
        "--node-monitor-period=1s",
        "--node-monitor-grace-period=5s",
    ]


def first_objects(volumes: list[tuple[str, Path]]) -> dict[str, Any]:
    """The nodes' rights, and ReadWriteMany volumes of class `shared`: folders of this host, which every node sees.

    The binding answers for kubelets at once; the Node authorizer alone would make a pod with a claim wait 15 s.
    """
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "nodes"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:nodes"}],
    }
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "shared", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
    }
    return {"apiVersion": "v1", "kind": "List", "items": [rights, storage_class, *(volume(*one) for one in volumes)]}


def volume(name: str, folder: Path) -> dict[str, Any]:
    """A volume that any node can mount for reading and writing."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "shared",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }
