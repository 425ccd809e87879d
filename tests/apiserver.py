"""A real Kubernetes API server, with its etcd, as two processes on loopback.

Nothing else of Kubernetes runs: no controller, scheduler or kubelet. Objects stay as they were written, which is
what tests of clients and controllers want. The programs come from the folder that DLTRAIN_CLUSTER_BIN names, by
default `cluster/bin` in the cache folder; where they are missing, tests that ask for a server are skipped.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dltrain.api.crd import custom_resource_definition, profile_resource_definition
from dltrain.names import API_VERSION, PLURAL, PROFILE_PLURAL
from tests.cluster.host import state_folder

START_SECONDS: Final = 150.0
TOKEN: Final = "test-admin"
"""Of a server that lives as long as the tests and listens on loopback only."""
JOBS: Final = f"/apis/{API_VERSION}/{PLURAL}"
PROFILES: Final = f"/apis/{API_VERSION}/{PROFILE_PLURAL}"
LESS_COLLECTING: Final = {"GOGC": "400"}
"""Go collects its garbage less often: tests have memory to spare, and more use for the time."""
PROGRAMS: Final = ("etcd", "kube-apiserver")


def programs_folder() -> Path:
    """Where the compiled programs of the test cluster are."""
    return Path(os.environ.get("DLTRAIN_CLUSTER_BIN") or state_folder() / "bin")


FIRST_PORT, PORTS = 20_000, 10_000
"""Ports below those that the kernel gives to whoever asks for any, and to connections."""
TURNS: Final = itertools.count(1009 * os.getpid())
"""Each process of the tests begins elsewhere."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, another one each time: it stays free until it is used."""
    for turn in itertools.islice(TURNS, PORTS):
        port = FIRST_PORT + turn % PORTS
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port of loopback is free")


@dataclass
class ApiServer:
    """An API server that can be killed and started again, on the same port and with the same objects."""

    folder: Path
    """Holds data, keys, logs and the kubeconfig."""
    programs: Path
    options: tuple[str, ...] = ()
    """Of the API server, besides the usual ones."""
    port: int = field(default_factory=free_port)
    etcd_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    knows_jobs: bool = False
    """Whether the CustomResourceDefinitions are installed."""

    @property
    def url(self) -> str:
        """The server's address."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator, whose current namespace is `default`."""
        return self.folder / "kubeconfig"

    @property
    def certificate(self) -> Path:
        """The server's own certificate, which is also what clients trust."""
        return self.folder / "pki" / "apiserver.crt"

    def start(self) -> None:
        """Start whatever does not run; return when the API server answers that it is ready."""
        self._write_settings()
        for name, arguments in (("etcd", self._etcd_arguments()), ("kube-apiserver", self._server_arguments())):
            if name not in self.processes:
                self.processes[name] = self._spawn(name, arguments)
        self._await_ready()

    def kill(self, name: str = "kube-apiserver") -> None:
        """End a process as `kill -9` does; `start` brings it back."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End everything."""
        for name in reversed(list(self.processes)):
            self.kill(name)

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, patch: str = "merge") -> Any:
        """Ask the API server; the answer's JSON.

        Raises:
            urllib.error.HTTPError: the server refused.
            urllib.error.URLError: the server cannot be reached.
        """
        kind = f"application/{patch}-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        data = None if body is None else json.dumps(body).encode()
        context = ssl.create_default_context(cafile=self.certificate)
        return fetch(urllib.request.Request(self.url + path, data, headers, method=method), context)

    def forget_history(self) -> None:
        """Compact etcd to its newest revision, so that watches from older ones are answered with 410 Gone."""
        revision = self._etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    def _etcd(self, path: str, body: Mapping[str, Any]) -> Any:
        url = f"http://127.0.0.1:{self.etcd_port}{path}"
        return fetch(urllib.request.Request(url, json.dumps(body).encode(), method="POST"), None)

    def _write_settings(self) -> None:
        (self.folder / "pki").mkdir(parents=True, exist_ok=True)
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        if not (self.folder / "sa.key").exists():
            command = ["openssl", "genrsa", "-out", str(self.folder / "sa.key"), "2048"]
            subprocess.run(command, check=True, capture_output=True)
        self.kubeconfig.write_text(yaml.safe_dump(kubeconfig(self.url, self.certificate)))

    def _etcd_arguments(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", "http://127.0.0.1:0"
        return [
            *(f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"),
        ]

    def _server_arguments(self) -> list[str]:
        key = self.folder / "sa.key"
        return [
            *(f"--etcd-servers=http://127.0.0.1:{self.etcd_port}", f"--cert-dir={self.folder / 'pki'}"),
            *("--bind-address=127.0.0.1", f"--secure-port={self.port}", "--service-cluster-ip-range=10.0.0.0/24"),
            *(f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *self.options,
            "--disable-admission-plugins=ServiceAccount",  # no controller makes the default service accounts
        ]

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        """Start a program that dies with the tests, even if they are killed."""
        dies_too = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [*dies_too, str(self.programs / name), *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **LESS_COLLECTING})

    def _await_ready(self) -> None:
        def ready() -> bool:
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended: {(self.folder / f'{name}.log').read_text()[-2000:]}"
            return self._answers("/readyz") and (
                not self.knows_jobs or (self._answers(JOBS) and self._answers(PROFILES))
            )

        wait_for("the API server to be ready", ready, START_SECONDS)

    def _answers(self, path: str) -> bool:
        """Whether a GET succeeds: not while the server starts, nor while its watch caches fill."""
        try:
            self.request("GET", path)
        except OSError:
            return False
        return True

    def install_crd(self) -> None:
        """Install the CustomResourceDefinitions and wait until the API server serves jobs and profiles."""
        for definition in (custom_resource_definition(), profile_resource_definition()):
            self.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        for kind in (JOBS, PROFILES):
            wait_for(f"{kind} to be served", partial(self._answers, kind), START_SECONDS)
        self.knows_jobs = True

    def make_namespace(self, prefix: str = "test-") -> str:
        """Make a namespace and return its name."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": prefix}}
        return str(self.request("POST", "/api/v1/namespaces", body)["metadata"]["name"])


def kubeconfig(server: str, authority: Path) -> dict[str, Any]:
    """A kubeconfig with one context, `test`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    }


def fetch(request: urllib.request.Request, context: ssl.SSLContext | None) -> Any:
    """The JSON that a request is answered with, or its text where it is none."""
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as error:
        with error:  # else what is left of the connection is closed some time later, with a warning
            error.add_note(error.read().decode())
        raise
    return json.loads(text) if text.startswith("{") else text


def wait_for(what: str, holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look again and again until something holds.

    Raises:
        AssertionError: it did not within the deadline.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running API server that knows DLTrainJobs."""
    programs = programs_folder()
    missing = [name for name in PROGRAMS if not (programs / name).exists()]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)} in {programs} (`make cluster-build`, or set DLTRAIN_CLUSTER_BIN)")
    server = ApiServer(tmp_path_factory.mktemp("apiserver"), programs)
    try:
        server.start()
        server.install_crd()
        yield server
    finally:
        server.stop()


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """A namespace of the test's own."""
    return api_server.make_namespace()
