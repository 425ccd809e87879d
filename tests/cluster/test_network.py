"""The cluster's addresses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.cluster.network import CONTROL_ADDRESS, SERVICES, SUBNET, node_address, node_number, pod_range

NODES = [f"node{number}" for number in range(1, 10)]


@pytest.mark.parametrize(
    ("node", "number", "address", "pods"),
    [
        pytest.param("node1", 1, "172.30.77.11", "10.77.1.0/24", id="first"),
        pytest.param("node12", 12, "172.30.77.22", "10.77.12.0/24", id="two digits"),
    ],
)
def test_a_nodes_addresses_follow_from_its_number(node: str, number: int, address: str, pods: str) -> None:
    assert (node_number(node), node_address(node), pod_range(node)) == (number, address, pods)


def test_a_name_that_is_no_nodes_has_no_number() -> None:
    with pytest.raises(ValueError, match="control"):
        node_number("control")


def test_no_two_ranges_of_the_cluster_overlap() -> None:
    ranges = [ip_network(SERVICES), ip_network(f"{SUBNET}.0/24"), *(ip_network(pod_range(node)) for node in NODES)]
    assert [(a, b) for a in ranges for b in ranges if a is not b and a.overlaps(b)] == []


def test_every_machine_has_an_address_of_its_own_on_the_bridge() -> None:
    addresses = [CONTROL_ADDRESS, f"{SUBNET}.254", *map(node_address, NODES)]
    assert len(set(addresses)) == len(addresses)
    assert {ip_address(address) in ip_network(f"{SUBNET}.0/24") for address in addresses} == {True}
