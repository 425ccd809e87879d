"""The cluster's network: one bridge, a link to each node and one to the host, static routes, no way out.

172.30.77.1 control plane (holds the bridge)   172.30.77.11... nodes   172.30.77.254 this host
10.77.N.0/24 pods of node N                    10.78.0.0/16 services, from the host by way of node 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.cluster.cgroups import PREFIX
from tests.cluster.host import call
from tests.cluster.machine import Machine

SUBNET: Final = "172.30.77"
CONTROL_ADDRESS: Final = f"{SUBNET}.1"
SERVICES: Final = "10.78.0.0/16"
HOST_LINK: Final = f"{PREFIX}-host"


def node_number(node: str) -> int:
    """The number in a node's name."""
    return int(node.removeprefix("node"))


def node_address(node: str) -> str:
    """A node's address."""
    return f"{SUBNET}.{10 + node_number(node)}"


def pod_range(node: str) -> str:
    """The addresses of a node's pods."""
    return f"10.77.{node_number(node)}.0/24"


def connect_control(control: Machine) -> None:
    """Make the bridge inside the control plane, where no firewall of the host sees it, and a link to the host."""
    control.run("ip", "link", "add", "br0", "type", "bridge")
    control.run("ip", "addr", "add", f"{CONTROL_ADDRESS}/24", "dev", "br0")
    control.run("ip", "link", "set", "br0", "up")
    call("ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", "host", "netns", str(control.init))
    control.run("ip", "link", "set", "host", "master", "br0", "up")
    call("ip", "addr", "add", f"{SUBNET}.254/24", "dev", HOST_LINK)
    call("ip", "link", "set", HOST_LINK, "up")


def connect_node(control: Machine, node: Machine, nodes: Sequence[str]) -> None:
    """Plug a node in, and give everyone the routes to its pods."""
    unplug(control, node.name)
    add = ["ip", "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", str(node.init)]
    call(*control.network_command(*add))
    call(*control.network_command("ip", "link", "set", node.name, "master", "br0", "up"))
    node.run("ip", "addr", "add", f"{node_address(node.name)}/24", "dev", "eth0")
    node.run("ip", "link", "set", "eth0", "up")
    node.run("ip", "route", "add", SERVICES, "dev", "eth0")
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for other in nodes:
        if other != node.name:
            node.run("ip", "route", "replace", pod_range(other), "via", node_address(other))
    route = ["ip", "route", "replace", pod_range(node.name), "via", node_address(node.name)]
    call(*route)
    control.run(*route)


def route_services(node: str) -> None:
    """Let the host reach services by way of a node."""
    call("ip", "route", "replace", SERVICES, "via", node_address(node))


def unplug(control: Machine, node: str) -> None:
    """Pull a node's cable."""
    call(*control.network_command("ip", "link", "del", node), check=False)


def disconnect_host() -> None:
    """Remove the host's link; its routes go with it."""
    call("ip", "link", "del", HOST_LINK, check=False)
