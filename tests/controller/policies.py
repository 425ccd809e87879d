"""What NetworkPolicies (networking.k8s.io/v1) allow, evaluated as their specification says: pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Party:
    """A pod, or with an empty namespace a machine outside of the cluster."""

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Port:
    """Where a connection goes to."""

    number: int
    protocol: str = "TCP"


def allowed(policies: Sequence[Policy], source: Party, target: Party, port: Port) -> bool:
    """Whether a connection may be made: its start may send it and its end may take it."""
    return side_allows(policies, source, target, port, "Egress") and side_allows(
        policies, target, source, port, "Ingress"
    )


def side_allows(policies: Iterable[Policy], subject: Party, other: Party, port: Port, kind: str) -> bool:
    """Whether the policies of one end allow it; without any of that kind everything is."""
    field_name, peers = ("egress", "to") if kind == "Egress" else ("ingress", "from")
    chosen = [each for each in policies if selects(each, subject) and kind in types_of(each["spec"])]
    rules = [rule for policy in chosen for rule in policy["spec"].get(field_name, ())]
    homes = {
        id(rule): policy["metadata"]["namespace"] for policy in chosen for rule in policy["spec"].get(field_name, ())
    }
    return not chosen or any(
        matches_port(rule.get("ports"), port)
        and (not rule.get(peers) or any(is_peer(peer, other, homes[id(rule)]) for peer in rule[peers]))
        for rule in rules
    )


def selects(policy: Policy, party: Party) -> bool:
    """Whether a policy is about a pod."""
    selector = policy["spec"]["podSelector"]
    return party.namespace == policy["metadata"]["namespace"] and matches(selector, party.labels)


def types_of(spec: Mapping[str, Any]) -> Sequence[str]:
    """The directions that a policy is about."""
    default = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return list(spec.get("policyTypes", default))


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels are selected; our policies use matchLabels alone."""
    assert set(selector) <= {"matchLabels"}
    return dict(selector.get("matchLabels", {})).items() <= dict(labels).items()


def is_peer(peer: Mapping[str, Any], party: Party, home: str) -> bool:
    """Whether a party is one of those that an entry means."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        address = ipaddress.ip_address(party.address)
        ranges = [ipaddress.ip_network(each) for each in (block["cidr"], *block.get("except", ()))]
        return address in ranges[0] and not any(address in each for each in ranges[1:])
    if not party.namespace:
        return False
    in_space = matches(peer["namespaceSelector"], party.namespace_labels) if "namespaceSelector" in peer else True
    at_home = "namespaceSelector" in peer or party.namespace == home
    return in_space and at_home and matches(peer.get("podSelector", {}), party.labels)


def matches_port(ports: Sequence[Mapping[str, Any]] | None, port: Port) -> bool:
    """Whether a rule is about a port; without a list it is about all."""
    return not ports or any(
        each.get("protocol", "TCP") == port.protocol
        and each.get("port", port.number) <= port.number <= each.get("endPort", each.get("port", port.number))
        for each in ports
    )
