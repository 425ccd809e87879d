"""The peer: Kubeflow's mpi-operator, built from its Go module, its controller a process beside the control plane."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from tests.bench.contender import WORKERS, Contender
from tests.cluster.build import build_programs, download
from tests.cluster.cluster import Cluster
from tests.cluster.host import ClusterFailure, wait_for
from tests.cluster.images import TRAINER, VERSION, Image, build_images
from tests.cluster.pki import certify
from tests.cluster.versions import Module

PROGRAM: Final = "mpi-operator"
MODULE: Final = Module("github.com/kubeflow/mpi-operator", "v0.8.2", {PROGRAM: "cmd/mpi-operator"}, in_place=True)
DOCKERFILE: Final = "tests/bench/mpi_operator.Dockerfile"
IMAGE: Final = Image(
    f"docker.io/dltrain/bench-mpi-operator:{VERSION}", DOCKERFILE, (*TRAINER.sources, DOCKERFILE), base=TRAINER.name
)
"""Our trainer image with sshd, so that both sides run the same Open MPI."""
LIMITS: Final = ("--kube-api-qps=200", "--kube-api-burst=400")
"""As shipped, 5 requests a second, its own throttle would be what is measured."""
JOBS: Final = "/apis/kubeflow.org/v2beta1/mpijobs"
ROLE: Final = "training.kubeflow.org/job-role"


def prepare(cluster: Cluster) -> str:
    """Build its controller and the image of its pods; why that failed, or nothing if it did not."""
    try:
        build_programs(cluster.state, (MODULE,))
        build_images(cluster, (IMAGE,))
    except ClusterFailure as failure:
        return f"{PROGRAM} {MODULE.version} could not be built here: {str(failure).splitlines()[-1]}"
    return ""


def start(cluster: Cluster) -> None:
    """Install its CustomResourceDefinition and start its controller; returns when that works."""
    definition = Path(download(MODULE, os.environ)["Dir"]) / "manifests/base/kubeflow.org_mpijobs.yaml"
    cluster.kubectl("create", "-f", definition)
    wait_for("MPIJobs to be served", lambda: cluster.kubectl("get", "--raw", JOBS, check=False))
    certify(cluster.pki, PROGRAM, f"/O=system:masters/CN={PROGRAM}", [f"DNS:{PROGRAM}"])
    config = f"--kubeConfig={cluster.pki}/{PROGRAM}.kubeconfig"
    cluster.control.daemon(PROGRAM, config, "--lock-namespace=default", *LIMITS)
    log = cluster.control.home / f"{PROGRAM}.log"
    wait_for(PROGRAM, lambda: "Started workers" in log.read_text())


def mpi_job(name: str, **run_policy: Any) -> dict[str, Any]:
    """An MPIJob that runs `hostname` on workers that are on nodes of their own."""
    apart = {
        "labelSelector": {"matchLabels": {JOB_LABEL: name, ROLE: "worker"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    worker = {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "containers": [container("worker", ["/usr/sbin/sshd", "-De"])],
    }
    launcher = {"containers": [container("launcher", ["mpirun", *OPTIONS, "hostname"])]}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": name},
        "spec": {
            "slotsPerWorker": 1,
            "runPolicy": {"cleanPodPolicy": "Running", **run_policy},
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "template": {"spec": launcher}},
                "Worker": {"replicas": WORKERS, "template": {"spec": worker}},
            },
        },
    }


JOB_LABEL: Final = "training.kubeflow.org/job-name"
OPTIONS: Final = (
    *("-np", str(WORKERS), "--hostfile", "/etc/mpi/hostfile", "--map-by", "slot", "--bind-to", "none"),
    *("--prtemca", "plm_ssh_args", "-o ConnectionAttempts=10"),  # what it sets for older releases of Open MPI
)


def container(name: str, command: list[str]) -> dict[str, Any]:
    """A container of the peer's image."""
    return {"name": name, "image": IMAGE.name.removeprefix("docker.io/"), "command": command}


MPI_OPERATOR: Final = Contender(
    name=f"{PROGRAM} {MODULE.version}",
    user=PROGRAM,
    space={},  # its pods run sshd as root
    api_version="kubeflow.org/v2beta1",
    plural="mpijobs",
    job=mpi_job,
    job_label=JOB_LABEL,
    done="Succeeded",
    rank_line=re.compile(r"\S+-worker-\d+$"),
)
