"""Records of clusters of GPUs, and jobs for them, which tests of planning talk about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from dltrain.api.crd import custom_resource_definition
from dltrain.api.job import DLTrainJob
from dltrain.doctor.look import OPERATORS, RIGHTS, Facts, Unknown
from dltrain.names import API_VERSION
from tests.sdk.builders import job
from tests.sdk.fake_api import FakeApi, Reply


def named(name: str, **parts: Any) -> dict[str, Any]:
    """An object of that name."""
    labels, annotations = parts.pop("labels", {}), parts.pop("annotations", {})
    return {"metadata": {"name": name, "namespace": "system", "labels": labels, "annotations": annotations}, **parts}


READY: Final = {"type": "Ready", "status": "True"}
P5: Final = {"node.kubernetes.io/instance-type": "p5.48xlarge"}
FAST: Final = {"nvidia.com/gpu": "8", "vpc.amazonaws.com/efa": "32", "hugepages-2Mi": "10Gi"}
HEALTHY: Final = Facts(
    "ml",
    {"gitVersion": "v1.37.2"},
    custom_resource_definition(),
    {
        "nodes": [named("p5", labels=P5, status={"conditions": [READY], "allocatable": FAST})],
        "daemonSets": [
            named("nvidia-device-plugin", status={"desiredNumberScheduled": 1, "numberReady": 1}),
            named("calico-node"),
        ],
        "storageClasses": [named("efs", provisioner="efs.csi.aws.com")],
        "accounts": [named("default"), named("trainer")],
        OPERATORS: [named("dltrain-operator", spec={"replicas": 2}, status={"readyReplicas": 2})],
    },
    named("ml", labels={"pod-security.kubernetes.io/enforce": "restricted"}),
    dict.fromkeys(RIGHTS, True),
)
"""A cluster with nothing to complain of."""
GPU: Final = "nvidia.com/gpu"
FORBIDDEN: Final = Unknown("it is forbidden")
QUOTA: Final = named("team", spec={}, status={"hard": {f"requests.{GPU}": "16"}, "used": {f"requests.{GPU}": "8"}})


def node(name: str, gpus: int = 8, zone: str = "a", **spec: Any) -> dict[str, Any]:
    """A node of GPUs."""
    allocatable = {"cpu": "64", "memory": "512Gi", GPU: str(gpus), "pods": "110"}
    status = {"conditions": [READY], "allocatable": allocatable}
    return named(name, labels={"zone": zone}, spec=spec, status=status)


def pod(where: str, gpus: int, namespace: str = "others", **labels: str) -> dict[str, Any]:
    """A running pod."""
    spec = {"nodeName": where, "containers": [{"resources": {"requests": {GPU: gpus}}}]}
    metadata = {"name": "p", "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def gpu_job(pods: int = 2, gpus: int = 8, **spec: Any) -> DLTrainJob:
    """A job of some pods of some GPUs."""
    workers = {"replicas": pods, "resources": {"limits": {GPU: gpus}}, **spec.pop("workers", {})}
    return job({"command": ["x"], "workers": workers, **spec})


def cluster(**lists: Any) -> Facts:
    """A healthy cluster of two nodes of eight GPUs, with other lists."""
    return replace(HEALTHY, lists={**HEALTHY.lists, "nodes": [node("n1"), node("n2")], **lists})


def said(findings: Any) -> list[str]:
    """Findings as `level check: message`."""
    return [f"{each.level} {each.check}: {each.message}" for each in findings]


def profile(name: str, **spec: Any) -> dict[str, Any]:
    """A profile as the API server has it."""
    return {"apiVersion": API_VERSION, "kind": "DLTrainProfile", "metadata": {"name": name}, "spec": spec}


LISTS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "/api/v1/nodes": [node("n1"), node("n2")],
    "/api/v1/pods": [pod("n1", 8)],
    "/api/v1/namespaces/ml/resourcequotas": [QUOTA],
    "/api/v1/namespaces/ml/persistentvolumeclaims": [],
    "/api/v1/namespaces/ml/limitranges": [],
    "/apis/scheduling.k8s.io/v1/priorityclasses": [],
    "/apis/dltrain.io/v1alpha1/dltrainprofiles": [],
}


def serve(api: FakeApi, path: str, items: list[dict[str, Any]]) -> None:
    """Answer with a list."""
    api.routes[f"GET {path}"] = lambda _: Reply({"metadata": {"resourceVersion": "1"}, "items": items})
