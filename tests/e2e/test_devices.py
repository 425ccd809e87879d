"""Devices by dynamic resource allocation, with the real example driver: some of each worker, one that all share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.host import wait_for
from tests.e2e.jobs import PATIENT, go, script_job
from tests.e2e.live import Live, Space

pytestmark = pytest.mark.e2e
API: Final = "resource.k8s.io/v1"
DRIVER: Final = "gpu.example.com"
PLUGIN: Final = "dra-example-kubeletplugin"
DEVICE: Final = re.compile(r"GPU_DEVICE_\d+=(?P<name>gpu-\d+)")
CLASS: Final = {
    "apiVersion": API,
    "kind": "DeviceClass",
    "metadata": {"name": DRIVER},
    "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]},
}


@pytest.fixture
def driver(installed: Live) -> Iterator[None]:
    """The example driver on every node; it makes up eight devices on each and hands them to containers for true."""
    if installed.own is None:
        pytest.skip("only the tests' own cluster may get a driver")
    cluster: Cluster = installed.own
    for node in cluster.nodes:
        identity = (f"--node-name={node}", f"--kubeconfig={cluster.kubeconfig}")
        cluster.machine(node).daemon(PLUGIN, *identity, "--cdi-root=/var/run/cdi")
    installed.create(CLASS)
    wait_for("every node to offer devices", lambda: len(slices(installed)) == len(cluster.nodes), 60)
    yield
    for node in cluster.nodes:
        cluster.machine(node).run("pkill", "-f", PLUGIN)
    installed.kubectl("delete", "deviceclass", DRIVER)


def slices(live: Live) -> list[dict[str, Any]]:
    """What drivers offer."""
    found: list[dict[str, Any]] = live.read("get", "resourceslices")["items"]
    return found


def template(name: str) -> dict[str, Any]:
    """What a claim for one device is made from."""
    requests = [{"name": "device", "exactly": {"deviceClassName": DRIVER}}]
    spec = {"spec": {"devices": {"requests": requests}}}
    return {"apiVersion": API, "kind": "ResourceClaimTemplate", "metadata": {"name": name}, "spec": spec}


def devices(space: Space, pod: str) -> set[str]:
    """The devices that a worker's processes see."""
    lines = space.kubectl("exec", pod, "-c", "worker", "--", "env").splitlines()
    found = (DEVICE.fullmatch(line) for line in lines)
    return {match["name"] for match in found if match}


def test_workers_share_one_device_and_have_one_of_their_own(space: Space, driver: None) -> None:
    job = script_job("devices", PATIENT, 2)
    own = {"name": "own", "resourceClaimTemplateName": "own"}
    container = {"name": "worker", "resources": {"claims": [{"name": "own"}]}}
    job["spec"]["workers"]["template"] = {"spec": {"resourceClaims": [own], "containers": [container]}}
    job["spec"]["scheduling"] = {"sharedClaims": [{"name": "channel", "template": "channel"}]}
    space.apply(template("own"), template("channel"), job)
    space.await_job("devices", "runs", lambda job: job.status.phase == "Running", 120)
    claims = space.live.read("-n", space.name, "get", "resourceclaims")["items"]
    owners = sorted(claim["metadata"]["ownerReferences"][0]["kind"] for claim in claims)
    assert owners == ["Pod", "Pod", "PodGroup"], json.dumps(claims, indent=2)
    first, second = devices(space, "devices-0-1"), devices(space, "devices-1-1")
    assert (len(first), len(second), len(first & second)) == (2, 2, 1)
    go(space, "devices", (0, 1), (1, 1))
    space.await_job("devices", "succeeds", lambda job: job.status.phase == "Succeeded", 60)
    space.client.delete("devices", wait=True, timeout=60)
    wait_for("its claims to go", lambda: not space.live.read("-n", space.name, "get", "resourceclaims")["items"], 60)
