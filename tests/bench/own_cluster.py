"""A cluster of a benchmark's own: two nodes, dltrain installed as the README says, and the peer where it can be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dltrain.connection import Connection, connect
from tests.bench import mpi_operator
from tests.bench.audit import Write, policy, read_writes
from tests.bench.contender import DLTRAIN
from tests.bench.failure import BenchFailure
from tests.cluster.build import build_programs
from tests.cluster.cluster import Cluster
from tests.cluster.host import install_packages, state_folder, timed, why_not
from tests.cluster.images import build_images
from tests.e2e.live import Live

NODES: Final = 2


@dataclass(frozen=True, slots=True)
class OwnCluster:
    """The cluster, and what a benchmark reads of it."""

    cluster: Cluster
    live: Live
    connection: Connection
    peerless: str
    """Why there is no peer; empty if there is."""

    def writes(self) -> list[Write]:
        """What dltrain's operator and the peer have written to the API so far."""
        with self.cluster.audit_log.open() as file:
            return read_writes(file)

    def program(self, name: str) -> Path:
        """One of the programs that were built for it."""
        return self.cluster.state / "bin" / name

    def namespace(self, prefix: str, labels: Mapping[str, str]) -> str:
        """Make a namespace; its name."""
        metadata = {"generateName": f"{prefix}-", "labels": dict(labels)}
        return self.live.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def build_all() -> str:
    """Build what is missing for the cluster; why there will be no peer, or nothing if there will.

    Raises:
        BenchFailure: this machine cannot run the cluster.
        ClusterFailure: something could not be built.
    """
    if reason := why_not():
        raise BenchFailure(reason)
    cluster = Cluster(state_folder())
    install_packages()
    build_programs(cluster.state)
    with cluster.locked():
        build_images(cluster)
        return mpi_operator.prepare(cluster)


@contextmanager
def own_cluster(peerless: str) -> Iterator[OwnCluster]:
    """The cluster, for the length of a block.

    Args:
        peerless: why there is no peer; empty if there is.

    Raises:
        ClusterFailure: something in it failed.
    """
    cluster = Cluster(state_folder())
    with cluster.locked():
        try:
            cluster.up(NODES, gpus=0, audit=policy([DLTRAIN.user, mpi_operator.MPI_OPERATOR.user]))
            live = Live(cluster.state / "bin" / "kubectl", cluster.kubeconfig, cluster)
            timed("dltrain installed", live.install)
            if not peerless:
                timed("peer started", lambda: mpi_operator.start(cluster))
            yield OwnCluster(cluster, live, connect(kubeconfig=cluster.kubeconfig), peerless)
        finally:
            cluster.down()
