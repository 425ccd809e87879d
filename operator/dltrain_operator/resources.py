"""Where the Kubernetes API serves what the operator reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dltrain import names

RESOURCES: Final[Mapping[str, tuple[str, str]]] = {
    names.KIND: (f"/apis/{names.API_VERSION}", names.PLURAL),
    names.PROFILE_KIND: (f"/apis/{names.API_VERSION}", names.PROFILE_PLURAL),
    "Pod": ("/api/v1", "pods"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    **{
        f"PodGroup.{group}": (f"/apis/{group}/{version}", "podgroups")
        for group, version in (
            ("scheduling.k8s.io", "v1beta1"),
            ("scheduling.volcano.sh", "v1beta1"),
            ("scheduling.x-k8s.io", "v1alpha1"),
        )
    },
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}
"""Kind, with its group where several have one of that name -> where the API serves it."""
METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}
"""Kubernetes' verb, as a role names it -> HTTP's method."""


def kind_of(manifest: Mapping[str, Any]) -> str:
    """The kind of an object, as RESOURCES has it."""
    kind, group = manifest["kind"], manifest["apiVersion"].partition("/")[0]
    return f"{kind}.{group}" if f"{kind}.{group}" in RESOURCES else str(kind)


def path_of(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Where the API serves an object, or without a name all of that kind."""
    prefix, plural = RESOURCES[kind]
    space = f"namespaces/{namespace}" if namespace else ""
    return "/".join(part for part in (prefix, space, plural, name, subresource) if part)


def resource_of(path: str) -> str:
    """The resource that a path of path_of leads to, as a role names it: `dltrainjobs/status`, say."""
    prefix, _, rest = path.partition("/namespaces/")
    words = rest.split("/")[1:] if rest else prefix.split("/")[-1:]
    return "/".join([words[0], *words[2:]])
