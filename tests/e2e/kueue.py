"""A real Kueue on the tests' own cluster, installed with its own chart from the Go module that it is built from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.chart.rendering import program
from tests.cluster.archives import image_archive
from tests.cluster.build import download
from tests.cluster.cluster import Cluster
from tests.cluster.host import call, wait_for
from tests.cluster.versions import KUEUE
from tests.e2e.live import Live

SYSTEM: Final = "kueue-system"
MANAGER: Final = "deployment/kueue-controller-manager"
IMAGE: Final = "docker.io/testcluster/kueue"
API: Final = "kueue.x-k8s.io/v1beta2"
CONFIGURATION: Final = {
    "apiVersion": "config.kueue.x-k8s.io/v1beta2",
    "kind": "Configuration",
    "health": {"healthProbeBindAddress": ":8081"},
    "metrics": {"bindAddress": ":8443"},
    "webhook": {"port": 9443},
    "leaderElection": {"leaderElect": True, "resourceName": "c1f6bfd2.kueue.x-k8s.io"},
    "integrations": {"frameworks": ["batch/job", "pod"]},
}
"""Kueue's defaults, with plain pods."""


@contextmanager
def kueue(live: Live, cluster: Cluster) -> Iterator[None]:
    """Kueue, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="kueue-") as folder:
        load_image(cluster, Path(folder))
        values = {
            "managerConfig": {"controllerManagerConfigYaml": yaml.safe_dump(CONFIGURATION)},
            "controllerManager": {
                "manager": {
                    "image": {"repository": IMAGE, "tag": KUEUE.version, "pullPolicy": "Never"},
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                }
            },
        }
        (Path(folder) / "values.yaml").write_text(yaml.safe_dump(values))
        environment = {**os.environ, "KUBECONFIG": str(live.kubeconfig), "HELM_CACHE_HOME": folder}
        helm = (program("helm"), "--namespace", SYSTEM)
        chart = Path(download(KUEUE, os.environ)["Dir"]) / "charts" / "kueue"
        try:
            options = ("--create-namespace", f"--values={folder}/values.yaml")
            call(*helm, "install", "kueue", chart, *options, env=environment)
            live.kubectl("-n", SYSTEM, "rollout", "status", MANAGER, "--timeout=300s")
            wait_for("Kueue's webhooks", lambda: is_answered(live), 120)
            yield
        except BaseException as error:
            error.add_note(live.kubectl("-n", SYSTEM, "describe", "pods", check=False))
            error.add_note(live.kubectl("-n", SYSTEM, "logs", MANAGER, "--tail=60", check=False))
            raise
        finally:
            call(*helm, "uninstall", "kueue", check=False, env=environment)
            live.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--wait", "--timeout=90s")


def is_answered(live: Live) -> bool:
    """Whether the API server reaches Kueue's webhooks, with certificates that it trusts."""
    text = yaml.safe_dump(flavor())
    return bool(live.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", check=False, text=text))


def load_image(cluster: Cluster, folder: Path) -> None:
    """Give every node an image of the program."""
    archive = folder / "kueue.tar"
    archive.write_bytes(image_archive(f"{IMAGE}:{KUEUE.version}", "/manager", program("kueue").read_bytes()))
    for name in cluster.nodes:
        cluster.machine(name).ctr("images", "import", archive)


def flavor() -> dict[str, Any]:
    """The only kind of node."""
    return {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": "any"}, "spec": {}}


def cluster_queue(name: str, quota: Mapping[str, Any]) -> dict[str, Any]:
    """A queue with a quota of its own, in which what is more important takes the place of what is less."""
    resources = [{"name": resource, "nominalQuota": amount} for resource, amount in quota.items()]
    group = {"coveredResources": list(quota), "flavors": [{"name": "any", "resources": resources}]}
    spec = {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [group],
    }
    return {"apiVersion": API, "kind": "ClusterQueue", "metadata": {"name": name}, "spec": spec}


def local_queue(name: str, queue: str) -> dict[str, Any]:
    """A queue of a namespace."""
    return {"apiVersion": API, "kind": "LocalQueue", "metadata": {"name": name}, "spec": {"clusterQueue": queue}}


def priority(name: str, value: int) -> dict[str, Any]:
    """How important a job is."""
    return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}
