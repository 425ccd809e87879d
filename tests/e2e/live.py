"""A cluster to test on, seen as its administrator: the tests' own, or whatever KUBECONFIG points to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from dltrain.api.job import DLTrainJob
from dltrain.client import Client
from dltrain.names import API_VERSION, INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL, PLURAL
from tests.cluster.cluster import Cluster
from tests.cluster.host import call, wait_for

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFESTS: Final = ROOT / "manifests"
EXAMPLES: Final = MANIFESTS / "examples"
SYSTEM: Final = "dltrain-system"
OPERATOR: Final = "deployment/dltrain-operator"
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
JOBS: Final = f"/apis/{API_VERSION}/{PLURAL}"
OWNED: Final = "pods,configmaps,services,secrets,networkpolicies"


@dataclass(frozen=True)
class Live:
    """A running cluster."""

    program: Path
    """kubectl."""
    kubeconfig: Path
    own: Cluster | None = None
    """The cluster's machines, where the tests made it."""

    def kubectl(self, *arguments: str | Path, check: bool = True, text: str | None = None) -> str:
        """Run kubectl; its output."""
        return call(self.program, "--kubeconfig", self.kubeconfig, *arguments, check=check, input=text)

    def read(self, *arguments: str | Path) -> Any:
        """What kubectl prints as JSON."""
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def create(self, manifest: Mapping[str, Any]) -> str:
        """Create an object; its name."""
        made = self.kubectl("create", "-f", "-", "-o", "name", text=json.dumps(manifest))
        return made.strip().partition("/")[2]

    def install(self) -> None:
        """Install dltrain as the README says; returns when it serves jobs."""
        self.kubectl("apply", "-k", MANIFESTS)
        wait_for("jobs to be served", lambda: self.kubectl("get", "--raw", JOBS, check=False))
        self.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")

    def scale_operator(self, replicas: int) -> None:
        """Have the operator run in the cluster, or not at all; returns when it is so."""
        self.kubectl("-n", SYSTEM, "scale", OPERATOR, f"--replicas={replicas}")
        pods = ("-n", SYSTEM, "pods", "-l", "app.kubernetes.io/component=operator")
        if replicas:
            self.kubectl("-n", SYSTEM, "rollout", "status", OPERATOR, "--timeout=120s")
        else:
            self.kubectl("wait", *pods[:2], "--for=delete", *pods[2:], "--timeout=60s")


def current_cluster() -> Live:
    """The cluster of KUBECONFIG; dltrain's images must be there already."""
    program = shutil.which("kubectl")
    assert program is not None, "install kubectl"
    kubeconfig = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return Live(Path(program), Path(kubeconfig))


@dataclass(frozen=True)
class Space:
    """A namespace of the test's own, where Pod Security enforces `restricted`."""

    live: Live
    name: str

    @property
    def client(self) -> Client:
        """The SDK's client for it."""
        return Client(self.name, kubeconfig=self.live.kubeconfig)

    def kubectl(self, *arguments: str | Path, check: bool = True, text: str | None = None) -> str:
        """Run kubectl in it; its output."""
        return self.live.kubectl("-n", self.name, *arguments, check=check, text=text)

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Apply some objects."""
        text = "\n---\n".join(json.dumps(document) for document in documents)
        self.kubectl("apply", "-f", "-", text=text)

    def await_job(
        self, name: str, what: str, holds: Callable[[DLTrainJob], T | None], seconds: float = 60
    ) -> DLTrainJob:
        """The job, as soon as something holds of it."""
        client = self.client
        last: list[DLTrainJob] = []

        def look() -> bool:
            last[:] = [client.get(name)]
            return bool(holds(last[0]))

        wait_for(f"{name} {what}", look, seconds)
        return last[0]

    def pods(self, job: str) -> dict[tuple[int, int], dict[str, Any]]:
        """A job's pods by (index, incarnation)."""
        found = self.live.read("-n", self.name, "get", "pods", "-l", f"{JOB_LABEL}={job}")["items"]
        return {number_of(pod): pod for pod in found}

    def owned(self) -> list[str]:
        """The names of everything that a job makes, as kubectl prints them; a namespace's own objects left out."""
        names = self.kubectl("get", OWNED, "-l", JOB_LABEL, "-o", "name").split()
        return sorted(names)

    def describe(self) -> str:
        """What a failed test's reader wants to know."""
        parts = [
            self.kubectl("get", "dltj,pods,pvc", "-o", "wide", check=False),
            self.kubectl("describe", "dltj", check=False),
            *(
                f"--- {pod}\n{self.kubectl('logs', '--tail=40', pod, check=False)}"
                for pod in self.kubectl("get", "pods", "-l", JOB_LABEL, "-o", "name", check=False).split()
            ),
            self.live.kubectl("-n", SYSTEM, "logs", "--tail=60", OPERATOR, check=False),
        ]
        return "\n".join(parts)


def number_of(pod: Mapping[str, Any]) -> tuple[int, int]:
    """A pod's worker index and incarnation."""
    labels = pod["metadata"]["labels"]
    return int(labels[INDEX_LABEL]), int(labels[INCARNATION_LABEL])
