"""The files for EKS against the instances and each other: every profile finds a node that has what it asks for."""

from __future__ import annotations

import re
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dltrain.api.workers import amount
from tests.chart.aws import (
    AWS,
    EFA,
    EKSCTL,
    GROUPS,
    HUGE_PAGES,
    INSTANCE,
    KARPENTER,
    POOLS,
    PROFILES,
    TAINT,
    profile,
    source,
)
from tests.chart.rendering import ROOT, objects

NAMES: Final = [file.stem for file in PROFILES]
HARDWARE: Final = {
    "g5.12xlarge": (48, 192, 4),
    "g6.xlarge": (4, 16, 1),
    "g6.12xlarge": (48, 192, 4),
    "g6.48xlarge": (192, 768, 8),
    "g6e.12xlarge": (48, 384, 4),
    "g6e.48xlarge": (192, 1536, 8),
    "p4d.24xlarge": (96, 1152, 8),
    "p4de.24xlarge": (96, 1152, 8),
    "p5.4xlarge": (16, 256, 1),
    "p5.48xlarge": (192, 2048, 8),
    "p5en.48xlarge": (192, 2048, 8),
    "p6-b200.48xlarge": (192, 2048, 8),
}
"""Processors, GiB and GPUs: https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html."""
VISIBLE: Final = Decimal("0.925")
"""Of an instance's memory: what Karpenter counts on."""
PAGE: Final = 2 * 2**20
RESERVING: Final = re.compile(r"sysctl -w vm\.nr_hugepages=(\d+)")
NODE_CLASSES: Final = {
    each["metadata"]["name"]: each
    for each in objects((AWS / "karpenter.yaml").read_text())
    if each["kind"] == "EC2NodeClass"
}
TOLERATION: Final = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def limits(name: str) -> dict[str, Any]:
    """What the pods of a profile ask for."""
    found: dict[str, Any] = profile(name)["spec"]["resources"]["limits"]
    return found


def types(pool: dict[str, Any]) -> list[str] | None:
    """The instance types that a NodePool names; None where it takes families."""
    requirements = pool["spec"]["template"]["spec"]["requirements"]
    return next((each["values"] for each in requirements if each["key"] == INSTANCE), None)


def reserved(node_class: dict[str, Any], gigabytes: int, folder: Path) -> Decimal:
    """The bytes that the script of a node class takes for huge pages on a machine with so much memory."""
    text = node_class["spec"]["userData"]
    (script,) = re.findall(r"^#!/bin/bash\n(.*)^--BOUNDARY--", text, re.DOTALL | re.MULTILINE)
    told = folder / "meminfo"
    told.write_text(f"MemTotal:       {int(gigabytes * 2**20 * VISIBLE)} kB\nMemFree:        1 kB\n")
    pretended = 'sysctl() { echo "sysctl $*"; }\n' + script.replace("/proc/meminfo", str(told))
    done = subprocess.run(["bash", "-e"], input=pretended, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return Decimal(sum(map(int, RESERVING.findall(done.stdout)))) * PAGE


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_fills_its_instance_and_leaves_room_for_the_kubelet(name: str) -> None:
    processors, gigabytes, gpus = HARDWARE[name]
    asked, memory = limits(name), amount(f"{gigabytes}Gi") * VISIBLE
    assert asked["nvidia.com/gpu"] == gpus
    assert Decimal("0.7") * processors < asked["cpu"] < processors
    assert Decimal("0.7") * memory < amount(asked["memory"]) + amount(asked.get(HUGE_PAGES, 0)) < memory - amount("2Gi")


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_asks_for_one_efa_interface_of_each_network_card(name: str) -> None:
    table = (source(KARPENTER) / "pkg/providers/instancetype/zz_generated.vpclimits.go").read_text()
    (of_type,) = re.findall(rf'^\t"{re.escape(name)}": {{\n(.*?)^\t}},', table, re.DOTALL | re.MULTILINE)
    cards = len(re.findall(r"\bNetworkCardIndex:", of_type))
    assert limits(name).get(EFA, cards) == cards


def test_the_costs_are_those_of_amazon_on_their_date() -> None:
    prices = (source(KARPENTER) / "pkg/providers/pricing/zz_generated.pricing_aws.go").read_text()
    page = (ROOT / "docs" / "eks.md").read_text()
    (day,) = re.findall(r"generated at (\d{4}-\d\d-\d\d)T\S+ for us-east-1", prices)
    assert f"**{day}**" in page
    for name in ["m7i.large", *NAMES]:
        (price,) = re.findall(rf'"{re.escape(name)}": ([\d.]+)', prices)
        ((gpus, each),) = re.findall(
            rf"^\| {re.escape(name)} \| (\S+).*? \| {float(price):.2f} \| (\S*) ?\|$", page, re.MULTILINE
        )
        if name in HARDWARE:
            assert (int(gpus), each) == (HARDWARE[name][2], f"{float(price) / int(gpus):.2f}"), name


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group["name"])
def test_a_node_group_has_what_the_profile_of_its_instance_asks_for(group: dict[str, Any]) -> None:
    (kind,) = group.get("instanceTypes", [group.get("instanceType")])
    asked = limits(kind)
    assert group["taints"] == [TAINT]
    assert group["efaEnabled"] == (EFA in asked)
    assert len(group["availabilityZones"]) == 1
    tags = {key.partition("/resources/")[2]: value for key, value in group["tags"].items()}
    assert tags == {EFA: str(asked[EFA]), HUGE_PAGES: asked[HUGE_PAGES]}, "what the autoscaler is told of a new node"
    assert group["propagateASGTags"]
    (command,) = group["preBootstrapCommands"]
    (pages,) = RESERVING.findall(command)
    assert int(pages) * PAGE == amount(asked[HUGE_PAGES])
    assert yaml.safe_load(group["overrideBootstrapCommand"])["kind"] == "NodeConfig"


def test_there_are_node_groups_on_demand_and_spot_and_in_a_reservation() -> None:
    market = {
        "spot" if group.get("spot") else "reserved" if "capacityReservation" in group else "on demand"
        for group in GROUPS
    }
    assert market == {"on demand", "spot", "reserved"}


def test_karpenter_makes_nodes_for_every_profile_on_demand() -> None:
    (pool,) = (each for each in POOLS if each["metadata"]["name"] == "gpu-on-demand")
    assert sorted(types(pool) or []) == sorted(NAMES)


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool["metadata"]["name"])
def test_the_nodes_of_a_pool_are_of_profiles_and_seen_by_the_device_plugin(pool: dict[str, Any]) -> None:
    assert set(types(pool) or []) <= set(NAMES)
    assert pool["spec"]["template"]["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"


def test_karpenter_knows_of_the_huge_pages_that_its_nodes_reserve() -> None:
    manifests = objects((AWS / "karpenter.yaml").read_text())
    (overlay,) = (each for each in manifests if each["kind"] == "NodeOverlay")
    (chosen,) = overlay["spec"]["requirements"]
    asking = [name for name in NAMES if HUGE_PAGES in limits(name)]
    assert (chosen["key"], sorted(chosen["values"])) == (INSTANCE, sorted(asking))
    (told,) = overlay["spec"]["capacity"].values()
    assert {limits(name)[HUGE_PAGES] for name in asking} == {told}
    for node_class in NODE_CLASSES.values():
        (pages,) = RESERVING.findall(node_class["spec"]["userData"])
        assert int(pages) * PAGE == amount(told)


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool["metadata"]["name"])
def test_a_profile_fits_its_instance_beside_the_huge_pages_of_the_node_class(
    pool: dict[str, Any], tmp_path: Path
) -> None:
    node_class = NODE_CLASSES[pool["spec"]["template"]["spec"]["nodeClassRef"]["name"]]
    for name in types(pool) or NAMES:
        asked, gigabytes = limits(name), HARDWARE[name][1]
        pages = reserved(node_class, gigabytes, tmp_path)
        assert amount(asked.get(HUGE_PAGES, 0)) in {0, pages}, name
        assert amount(asked["memory"]) < amount(f"{gigabytes}Gi") * VISIBLE - pages - amount("2Gi"), name


@pytest.mark.parametrize("node_class", NODE_CLASSES.values(), ids=NODE_CLASSES)
def test_machines_too_small_for_efa_keep_their_memory(node_class: dict[str, Any], tmp_path: Path) -> None:
    taken = {gigabytes: reserved(node_class, gigabytes, tmp_path) for gigabytes in (16, 32, 64, 128, 192)}
    assert taken == {16: 0, 32: 0, 64: 0, 128: 2560 * PAGE, 192: 2560 * PAGE}


def test_the_efa_plugin_that_eksctl_installs_runs_on_gpu_nodes_once_it_is_patched() -> None:
    plugin = yaml.safe_load((source(EKSCTL) / "pkg/addons/assets/efa-device-plugin.yaml").read_text())
    (operation,) = yaml.safe_load((AWS / "values" / "efa-device-plugin-patch.yaml").read_text())
    folder, _, last = operation["path"].rpartition("/")
    tolerations = plugin
    for part in folder.strip("/").split("/"):
        tolerations = tolerations[part]
    assert (operation["op"], last, plugin["metadata"]["name"]) == ("add", "-", "aws-efa-k8s-device-plugin")
    assert "nvidia.com/gpu" not in {each["key"] for each in tolerations}, "eksctl does it: the patch can go"
    assert operation["value"] == TOLERATION


@pytest.mark.parametrize("chart", ["nvidia-device-plugin", "efa-device-plugin", "dcgm-exporter"])
def test_what_runs_on_every_gpu_node_tolerates_their_taint(chart: str) -> None:
    assert yaml.safe_load((AWS / "values" / f"{chart}.yaml").read_text())["tolerations"] == [TOLERATION]


def test_the_autoscaler_has_the_rights_and_the_name_of_the_cluster() -> None:
    cluster = yaml.safe_load((AWS / "cluster.yaml").read_text())
    values = yaml.safe_load((AWS / "values" / "cluster-autoscaler.yaml").read_text())
    having = [
        each["serviceAccountName"]
        for each in cluster["iam"]["podIdentityAssociations"]
        if each.get("wellKnownPolicies") == {"autoScaler": True}
    ]
    assert [values["rbac"]["serviceAccount"]["name"]] == having
    assert values["autoDiscovery"]["clusterName"] == cluster["metadata"]["name"]
    assert values["awsRegion"] == cluster["metadata"]["region"]
