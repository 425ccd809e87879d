"""The nodes as they are now, and how many pods of a kind each has room for; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from dltrain.capacity.pods import Amounts, added, amounts, has_ended, requested, total
from dltrain.capacity.selectors import is_tolerated, meets_affinity, taint_text
from dltrain.doctor.nodes import is_ready, name_of
from dltrain.pod_security import entries, mapping

Object = Mapping[str, Any]
PODS: Final = "pods"
"""The resource of which every pod takes one."""
ONE_POD: Final[Amounts] = {PODS: Decimal(1)}
CORDONED: Final[Object] = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
"""The taint of a node that takes no new pods."""
NOT_READY: Final[Object] = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
SAID: Final = {CORDONED["key"]: "cordoned", NOT_READY["key"]: "not ready"}


@dataclass(frozen=True, slots=True)
class Node:
    """A node."""

    name: str
    labels: Mapping[str, str]
    taints: Sequence[Object]
    """Also those that Kubernetes gives to nodes that are cordoned or not ready, which it may not have done yet."""
    offers: Amounts
    """What pods can have of it."""
    free: Amounts
    """What they have not."""


def nodes_of(nodes: Iterable[Object], pods: Iterable[Object]) -> list[Node]:
    """The nodes of a cluster.

    Args:
        nodes: as the API server has them.
        pods: all pods; those that have ended or have no node yet take nothing.
    """
    taken: dict[str, Amounts] = defaultdict(dict)
    for pod in pods:
        spec = mapping(pod.get("spec"))
        if spec.get("nodeName") and not has_ended(pod):
            taken[spec["nodeName"]] = added(taken[spec["nodeName"]], asked_of_node(spec))
    return [node_of(node, taken[name_of(node)]) for node in nodes]


def node_of(node: Object, taken: Amounts) -> Node:
    """A node, less what its pods have taken."""
    spec = mapping(node.get("spec"))
    offers = amounts(mapping(mapping(node.get("status")).get("allocatable")))
    taints = [*entries(spec.get("taints"))]
    taints += [CORDONED] if spec.get("unschedulable") else []
    taints += [] if is_ready(node) else [NOT_READY]
    free = {name: offered - taken.get(name, 0) for name, offered in offers.items()}
    return Node(name_of(node), mapping(node["metadata"].get("labels")), taints, offers, free)


def asked_of_node(spec: Object) -> Amounts:
    """What a pod takes of its node: what it requests, and the place of one pod."""
    return added(total(spec, requested), ONE_POD)


def refusal(node: Node, spec: Object, topology_key: str | None) -> str:
    """Why a node takes no pod of this spec, however much is free; empty where it does.

    Args:
        node: the node.
        spec: the pod's.
        topology_key: a label that the node must have.
    """
    tolerations = entries(spec.get("tolerations"))
    for taint in node.taints:
        if not is_tolerated(taint, tolerations):
            return SAID.get(taint["key"], f"taint {taint_text(taint)}")
    selector = mapping(spec.get("nodeSelector"))
    if lacking := [f"{key}={value}" for key, value in selector.items() if node.labels.get(key) != value]:
        return f"no label {', '.join(lacking)}"
    if not meets_affinity(spec, node.name, node.labels):
        return "outside of the required node affinity"
    return f"no label {topology_key}" if topology_key and topology_key not in node.labels else ""


def room(asked: Amounts, free: Amounts) -> int:
    """How many pods that ask for the same find room.

    As they are all alike, placing them one by one, each where one fits, finds as many places as any other way.
    """
    return min((each for _, each in rooms(asked, free)), default=0)


def rooms(asked: Amounts, free: Amounts) -> list[tuple[str, int]]:
    """For how many pods there is enough of each resource."""
    return [(name, max(0, int(free.get(name, Decimal(0)) // each))) for name, each in asked.items() if each > 0]


def scarce(asked: Amounts, free: Amounts) -> list[str]:
    """The resources of which there is enough for the fewest pods."""
    fewest = room(asked, free)
    return sorted(name for name, each in rooms(asked, free) if each == fewest)


def domains(places: Iterable[tuple[Node, int]], topology_key: str | None) -> dict[str, int]:
    """The room of each domain: the nodes with one value of a label; without a label, all nodes under ""."""
    found: dict[str, int] = defaultdict(int)
    for node, each in places:
        found[node.labels[topology_key] if topology_key else ""] += each
    return dict(found)
