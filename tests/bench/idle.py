"""How much memory a controller takes that has many jobs and nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from dltrain.connection import Connection
from tests.bench.contender import DLTRAIN, Contender
from tests.bench.memory import resident_mib_in_pod, resident_mib_of_program
from tests.bench.mpi_operator import MPI_OPERATOR, PROGRAM
from tests.bench.timeline import has_condition
from tests.cluster.host import wait_for
from tests.e2e.live import SYSTEM, Live

JOBS: Final = 100
SECONDS: Final = 60.0
MODULE: Final = "dltrain_operator"


def operator_mib(live: Live, connection: Connection, namespace: str) -> float:
    """The resident memory of dltrain's operator, of the larger of its two replicas, MiB."""
    suspend_jobs(connection, DLTRAIN, namespace)
    pods = live.read("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/component=operator")["items"]
    return max(resident_mib_in_pod(pod["metadata"]["uid"], MODULE) for pod in pods)


def peer_mib(program: Callable[[str], Path], connection: Connection, namespace: str) -> float:
    """The resident memory of mpi-operator, MiB."""
    suspend_jobs(connection, MPI_OPERATOR, namespace)
    return resident_mib_of_program(program(PROGRAM))


def suspend_jobs(connection: Connection, contender: Contender, namespace: str) -> None:
    """Create JOBS jobs that are suspended; returns when their status says so."""
    path = contender.jobs_path(namespace)
    for index in range(JOBS):
        connection.request("POST", path, body=contender.job(f"idle-{index}", suspend=True))

    def all_suspended() -> bool:
        return sum(has_condition(job, "Suspended") for job in connection.request("GET", path)["items"]) == JOBS

    wait_for(f"{JOBS} jobs of {contender.name} to be suspended", all_suspended, SECONDS, pause=0.5)
