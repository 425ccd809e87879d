"""The daemons' settings: that they fit each other, and read back as what they are."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.cluster import settings
from tests.cluster.build import PAUSE_IMAGE
from tests.cluster.network import CONTROL_ADDRESS, SERVICES, node_address, pod_range
from tests.cluster.pki import API, kubeconfig

PKI = Path("/state/pki")


def options(lines: list[str]) -> dict[str, str]:
    """A daemon's options by name; of a switch the value is empty."""
    return {name.removeprefix("--"): value for name, _, value in (line.partition("=") for line in lines)}


def seconds(text: str) -> int:
    """A duration as Go writes it, of whole seconds."""
    assert re.fullmatch(r"\d+s", text)
    return int(text[:-1])


@pytest.mark.parametrize(
    ("store", "collects"), [pytest.param(False, True, id="node"), pytest.param(True, False, id="image store")]
)
def test_only_a_nodes_containerd_collects_garbage(store: bool, collects: bool) -> None:
    read = tomllib.loads(settings.containerd(Path("/state/bin"), store=store))
    assert ("io.containerd.gc.v1.scheduler" not in read["plugins"]) is collects
    assert read["plugins"]["io.containerd.cri.v1.images"]["pinned_images"] == {"sandbox": PAUSE_IMAGE}
    assert read["plugins"]["io.containerd.cri.v1.runtime"]["cni"]["bin_dirs"] == ["/state/bin"]


def test_a_nodes_pods_get_addresses_of_its_range() -> None:
    bridge, ports = settings.cni("node2")["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": pod_range("node2")}]]
    assert (bridge["type"], ports["type"]) == ("bridge", "portmap")


def test_pods_ask_the_address_that_the_name_server_listens_on() -> None:
    kubelet = settings.kubelet(PKI, "node1", Path("/state/resolv.conf"))
    corefile = settings.corefile(Path("/state/admin.kubeconfig"))
    assert kubelet["clusterDNS"] == re.findall(r"bind (\S+)", corefile)[:1]
    assert set(re.findall(r"bind (\S+)", corefile)) == {CONTROL_ADDRESS}
    assert kubelet["clusterDomain"] in corefile


def test_a_kubelet_keeps_its_pods_in_control_groups_of_its_own() -> None:
    roots = [settings.kubelet(PKI, node, Path("/r"))["cgroupRoot"] for node in ("node1", "node2")]
    assert roots == ["/dltc/node1", "/dltc/node2"]


def test_a_living_node_is_never_taken_for_a_dead_one() -> None:
    """A kubelet renews its lease after a quarter of its duration, which is here a second."""
    kubelet = settings.kubelet(PKI, "node1", Path("/r"))
    grace = seconds(options(settings.controller_manager(PKI))["node-monitor-grace-period"])
    assert kubelet["nodeLeaseDurationSeconds"] < grace
    assert seconds(kubelet["nodeStatusUpdateFrequency"]) < grace


def test_services_have_the_range_that_the_host_routes() -> None:
    api_server = options(settings.api_server(PKI))
    assert api_server["service-cluster-ip-range"] == SERVICES
    assert f"https://{api_server['advertise-address']}:6443" == API


def test_what_is_signed_with_one_key_is_verified_with_its_other_half() -> None:
    signer, verifier = options(settings.controller_manager(PKI)), options(settings.api_server(PKI))
    assert signer["service-account-private-key-file"] == verifier["service-account-signing-key-file"] == f"{PKI}/sa.key"
    assert verifier["service-account-key-file"] == f"{PKI}/sa.pub"


def test_kube_proxy_knows_its_node_and_the_range_of_all_pods() -> None:
    proxy = settings.kube_proxy(PKI, "node3")
    assert (proxy["hostnameOverride"], proxy["clusterCIDR"]) == ("node3", "10.77.0.0/16")
    assert proxy["clientConnection"]["kubeconfig"] == f"{PKI}/kube-proxy.kubeconfig"


def test_volumes_are_shared_folders_of_the_default_class() -> None:
    items = settings.first_objects([("shared-0", Path("/state/shared/0"))])["items"]
    storage_class = next(item for item in items if item["kind"] == "StorageClass")
    assert storage_class["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert items[-1] == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "shared-0"},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": storage_class["metadata"]["name"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/state/shared/0", "type": "Directory"},
        },
    }


def test_settings_of_nodes_are_plain_json() -> None:
    for value in (settings.cni("node1"), settings.kubelet(PKI, "node1", Path("/r")), settings.kube_proxy(PKI, "node1")):
        assert json.loads(json.dumps(value)) == value


def test_a_kubeconfig_leads_one_user_to_the_api_server() -> None:
    assert kubeconfig(PKI, "node1") == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dltc",
        "clusters": [
            {"name": "dltc", "cluster": {"server": API, "certificate-authority": "/state/pki/ca.crt"}},
        ],
        "users": [
            {
                "name": "node1",
                "user": {"client-certificate": "/state/pki/node1.crt", "client-key": "/state/pki/node1.key"},
            }
        ],
        "contexts": [{"name": "dltc", "context": {"cluster": "dltc", "user": "node1"}}],
    }


def test_the_api_server_is_at_the_control_planes_address_and_not_at_a_nodes() -> None:
    assert CONTROL_ADDRESS in API
    assert node_address("node1") not in API
