"""`python3 -m tests.cluster`: build, tools, images, up, down, status, kubeconfig, node-kill, node-start."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.cluster.build import build_programs
from tests.cluster.cluster import Cluster
from tests.cluster.host import ClusterFailure, install_packages, state_folder, why_not
from tests.cluster.images import build_images
from tests.cluster.versions import MODULES, TOOLS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="A Kubernetes cluster of processes.")
    result.add_argument("--state", type=Path, default=state_folder(), help="where everything of it is kept")
    commands = result.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the pinned programs that are missing (15 minutes the first time)")
    commands.add_parser("tools", help="build the programs that the tests of the chart call (3 minutes the first time)")
    commands.add_parser("prepare", help="build and images, where this machine can run the cluster; else say why not")
    commands.add_parser("images", help="build the project's images into the image store")
    up = commands.add_parser("up", help="make the cluster anew")
    up.add_argument("--nodes", type=int, default=3)
    up.add_argument("--gpus", type=int, default=1, help="nvidia.com/gpu that each node claims to have")
    for name, what in (("node-kill", "lose a node at once"), ("node-start", "boot a lost node again")):
        node = commands.add_parser(name, help=what)
        node.add_argument("node")
        node.add_argument("--gpus", type=int, default=1)
    commands.add_parser("down", help="remove it; the programs and images stay")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    commands.add_parser("status", help="show the machines and nodes")
    return result


def run(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    cluster = Cluster(given.state)
    match given.command:
        case "kubeconfig":
            print(cluster.kubeconfig)
        case "status":
            status(cluster)
        case "prepare":
            prepare(cluster)
        case "build":
            install_packages()
            build_programs(cluster.state)
        case "tools":
            build_programs(cluster.state, TOOLS)
        case _:
            with cluster.locked():
                change(cluster, given)


def prepare(cluster: Cluster) -> None:
    """Make everything that the end-to-end tests need, or say in a line why they will be skipped."""
    if reason := why_not():
        print(f"tests on a real cluster are left out: {reason}")
        return
    install_packages()
    build_programs(cluster.state, (*MODULES, *TOOLS))
    with cluster.locked():
        build_images(cluster)


def change(cluster: Cluster, given: argparse.Namespace) -> None:
    """Change the cluster."""
    match given.command:
        case "images":
            build_images(cluster)
        case "up":
            cluster.up(given.nodes, given.gpus)
            print(f"export KUBECONFIG={cluster.kubeconfig}")
        case "down":
            cluster.down()
        case "node-kill":
            cluster.node_kill(given.node)
        case "node-start":
            cluster.node_start(given.node, given.gpus)


def status(cluster: Cluster) -> None:
    """Show which machines run, and what the API server says of the nodes."""
    for name in ["control", *cluster.nodes]:
        pid = cluster.machine(name).init
        print(f"{name}: {f'running, process {pid}' if pid else 'down'}")
    if cluster.control.init:
        print(cluster.kubectl("get", "nodes", "-o", "wide"), end="")


if __name__ == "__main__":
    try:
        run(parser().parse_args())
    except ClusterFailure as failure:
        sys.exit(str(failure))
