"""A cluster for the operator: a real API server, the real operator under its own rights, and stand-ins for kubelets."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from dltrain import names
from tests.apiserver import ApiServer, wait_for

MANIFESTS: Final = Path(__file__).parents[2] / "manifests"
SYSTEM: Final = "dltrain-system"
READY: Final = "jobs are served from now on"
MADE_BY_OPERATOR: Final = frozenset(
    {"pods", "configmaps", "secrets", "services", "networkpolicies", "dltrainjobs/status", "dltrainjobs"}
)
ADDRESSES: Final = (f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.{last}" for last in range(2, 255))
"""Every stand-in for a coordinator listens on an address of loopback that is its own, in each process of the tests."""
PLURALS: Final = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}


def install(server: ApiServer) -> None:
    """Create what manifests/operator.yaml holds."""
    for manifest in yaml.safe_load_all((MANIFESTS / "operator.yaml").read_text()):
        server.request("POST", PLURALS[manifest["kind"]].format(SYSTEM), manifest)


def operator_kubeconfig(server: ApiServer) -> Path:
    """A kubeconfig with the rights of the operator's service account, and no others."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/dltrain-operator/token"
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = server.request("POST", path, request)["status"]["token"]
    file = server.folder / "operator.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@dataclass
class OperatorProcess:
    """The operator, as a process that can be killed and started again."""

    server: ApiServer
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    starts: int = field(default=0)
    identity: str = "the-tests"
    """As whom it holds the lease; another process that is to be elected against it needs another."""
    serves: str = READY
    """What it logs once it does what it is started for."""

    @property
    def log(self) -> str:
        """What the present process has logged."""
        path = self._log_file()
        return path.read_text() if path.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs; return when it serves jobs."""
        if self.runs:
            return
        self.starts += 1
        command = [sys.executable, "-m", "dltrain_operator", "--kubeconfig", str(operator_kubeconfig(self.server))]
        command += ["--identity", self.identity]
        environment = {**os.environ, "PYTHONWARNINGS": "default"}
        with self._log_file().open("wb") as log:
            self.process = subprocess.Popen([*command, *self.arguments], stdout=log, stderr=log, env=environment)
        wait_for("the operator to serve jobs", lambda: self._alive() and self.serves in self.log)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end; its exit code. Where a test has failed, pytest shows the log."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        sys.stdout.write(self.log)
        return code

    def stop_if_it_runs(self) -> None:
        """Stop it, unless it has not been started or has ended."""
        if self.runs:
            self.stop()

    def resident_mib(self) -> float:
        """Its resident memory."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+)", text)
        assert match is not None
        return int(match[1]) / 1024

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the operator ended:\n{self.log}"
        return True

    def _log_file(self) -> Path:
        return self.server.folder / f"operator-{self.identity}-{self.starts}.log"


@dataclass
class Space:
    """One namespace, seen as an administrator; plays the scheduler and the kubelets in it."""

    server: ApiServer
    namespace: str
    address: str = field(default_factory=lambda: next(ADDRESSES))
    """Where every pod of this namespace claims to be."""

    def path(self, plural: str, name: str = "", subresource: str = "") -> str:
        """Where the API serves an object of this namespace."""
        prefix = {"dltrainjobs": f"/apis/{names.API_VERSION}", "networkpolicies": "/apis/networking.k8s.io/v1"}
        prefix["events"] = "/apis/events.k8s.io/v1"
        parts = (prefix.get(plural, "/api/v1"), "namespaces", self.namespace, plural, name, subresource)
        return "/".join(part for part in parts if part)

    def items(self, plural: str) -> list[dict[str, Any]]:
        """All objects of a kind in this namespace."""
        found: list[dict[str, Any]] = self.server.request("GET", self.path(plural))["items"]
        return found

    # ------------------------------------------------------------ jobs
    def submit(self, name: str = "a", replicas: int = 2, **spec: Any) -> dict[str, Any]:
        """Create a job that runs `hostname`."""
        workers = {"replicas": replicas, **spec.pop("workers", {})}
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name},
            "spec": {"workers": workers, "command": ["hostname"], **spec},
        }
        made: dict[str, Any] = self.server.request("POST", self.path("dltrainjobs"), body)
        return made

    def job(self, name: str = "a") -> dict[str, Any]:
        """A job."""
        found: dict[str, Any] = self.server.request("GET", self.path("dltrainjobs", name))
        return found

    def status(self, name: str = "a") -> dict[str, Any]:
        """A job's status."""
        status: dict[str, Any] = self.job(name).get("status", {})
        return status

    def set_policy(self, name: str = "a", **policy: Any) -> None:
        """Change the policy of a job."""
        self.server.request("PATCH", self.path("dltrainjobs", name), {"spec": {"runPolicy": policy}})

    def await_phase(self, phase: str, name: str = "a") -> dict[str, Any]:
        """Wait until a job is in a phase; its status."""
        wait_for(f"{name} to be {phase}", lambda: self.status(name).get("phase") == phase)
        return self.status(name)

    def message(self, name: str = "a", kind: str = "Running") -> str:
        """The message of a job's condition."""
        conditions = self.status(name).get("conditions", ())
        return next((str(one["message"]) for one in conditions if one["type"] == kind), "")

    # ------------------------------------------------------------ pods
    def pods(self) -> dict[str, dict[str, Any]]:
        """All pods, by name."""
        return {pod["metadata"]["name"]: pod for pod in self.items("pods")}

    def await_pods(self, *expected: str) -> None:
        """Wait until these pods exist."""
        wait_for(f"pods {expected}", lambda: set(expected) <= set(self.pods()))

    def place(self, *pods: str) -> None:
        """Play the scheduler: give pods a node, so that deleting them takes its time."""
        for pod in pods:
            target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
            self.server.request("POST", self.path("pods", pod, "binding"), body)

    def run(self, *pods: str) -> None:
        """Play the kubelet: start pods."""
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}], "conditions": [ready]}
        for pod in pods:
            self._set(pod, {**status, "containerStatuses": [container({"running": {}}, ready=True)]})

    def end(self, pod: str, code: int, message: str = "") -> None:
        """Play the kubelet: an agent has exited."""
        terminated = {"exitCode": code, "message": message, "finishedAt": now()}
        status = {"phase": "Failed" if code else "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}
        self._set(pod, {**status, "containerStatuses": [container({"terminated": terminated}, ready=False)]})

    def finish_deletion(self, *pods: str) -> None:
        """Play the kubelet: deleted pods have ended."""
        for pod in pods:
            self.server.request("DELETE", self.path("pods", pod), {"gracePeriodSeconds": 0})

    def _set(self, pod: str, status: Mapping[str, Any]) -> None:
        self.server.request("PATCH", self.path("pods", pod, "status"), {"status": status})

    def identity(self) -> dict[str, bytes]:
        """The files in the identity Secret of the one job."""
        secret = next(one for one in self.items("secrets") if "identity" in one["metadata"]["name"])
        return {name: base64.b64decode(value) for name, value in secret["data"].items()}


def container(state: Mapping[str, Any], *, ready: bool) -> dict[str, Any]:
    """The status of a worker container."""
    rest = {"ready": ready, "restartCount": 0, "image": "trainer", "imageID": ""}
    return {"name": names.WORKER_CONTAINER, "state": dict(state), **rest}


def now() -> str:
    """The present time, as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def writes(server: ApiServer) -> dict[tuple[str, str], int]:
    """How many writes of the operator's kind the API server has taken so far: (verb, resource) -> count."""
    counts: dict[tuple[str, str], int] = {}
    pattern = re.compile(r"^apiserver_request_total\{(.*)\} (\d+)$", re.MULTILINE)
    for labels, count in pattern.findall(str(server.request("GET", "/metrics"))):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        resource = "/".join(part for part in (label["resource"], label["subresource"]) if part)
        if resource in MADE_BY_OPERATOR and label["verb"] in {"POST", "APPLY", "PATCH", "PUT", "DELETE"}:
            key = label["verb"], resource
            counts[key] = counts.get(key, 0) + int(count)
    return counts


def difference(
    before: Mapping[tuple[str, str], int], after: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], int]:
    """The writes between two counts."""
    return {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
