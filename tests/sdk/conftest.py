"""Fixtures: a real API server, a namespace and a client of the test's own; a fake one for faults of the network."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.client import Client
from tests.apiserver import ApiServer, api_server, namespace
from tests.sdk.clusters import LISTS, named, serve
from tests.sdk.command_line import CommandLine
from tests.sdk.either import Blocking
from tests.sdk.fake_api import FakeApi, Reply, serving
from tests.sdk.log_scene import quick_logs, two_pods

__all__ = ["api_server", "namespace", "quick_logs", "two_pods"]


@pytest.fixture
def client(api_server: ApiServer, namespace: str) -> Client:
    """A client of the real API server, in the test's namespace."""
    return Client(namespace, kubeconfig=api_server.kubeconfig)


@pytest.fixture
def fake_api() -> Iterator[FakeApi]:
    """A server that answers as a test wants."""
    with serving() as api:
        yield api


@pytest.fixture
def small_cluster(fake_api: FakeApi) -> FakeApi:
    """An API server of a cluster of two nodes, one of which is full."""
    fake_api.routes["GET /version"] = lambda _: Reply({"gitVersion": "v1.37.2"})
    fake_api.routes["GET /apis"] = lambda _: Reply({"groups": [{"name": "apps"}]})
    fake_api.routes["GET /api/v1/namespaces/ml"] = lambda _: Reply(named("ml"))
    for path, items in LISTS.items():
        serve(fake_api, path, items)
    return fake_api


@pytest.fixture
def fake_client(fake_api: FakeApi, tmp_path: Path) -> Client:
    """A client of the fake server."""
    return Client(kubeconfig=fake_api.kubeconfig(tmp_path))


@pytest.fixture
def plugin(fake_api: FakeApi, tmp_path: Path) -> FakeApi:
    """A server whose kubeconfig names a program that makes another token whenever it is called, as on EKS."""
    count, program = tmp_path / "count", tmp_path / "login"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    token = json.dumps({**credential, "status": {"token": "TOKEN"}}).replace(
        "TOKEN", "t'$(wc -l < " + str(count) + ")'"
    )
    program.write_text(f"#!/bin/sh\necho >> {count}\necho '{token}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    file = fake_api.kubeconfig(tmp_path)
    content = yaml.safe_load(file.read_text())
    exec_plugin = {
        "apiVersion": credential["apiVersion"],
        "command": str(program),
        "args": [],
        "interactiveMode": "Never",
    }
    content["users"][0]["user"] = {"exec": exec_plugin}
    file.write_text(yaml.safe_dump(content))
    fake_api.kubeconfig = lambda folder: file  # type: ignore[method-assign]  # with the program in it
    return fake_api


@pytest.fixture
def dltrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line, without a cluster."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def dltrain_on_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api_server: ApiServer, client: Client
) -> CommandLine:
    """The command line for the real API server, in the test's namespace."""
    return CommandLine(monkeypatch, capsys, "--kubeconfig", str(api_server.kubeconfig), "-n", client.namespace)


@pytest.fixture(params=["Client", "AsyncClient"])
def either(request: pytest.FixtureRequest, api_server: ApiServer, namespace: str) -> Iterator[Any]:
    """Either client of the real API server, in the test's namespace."""
    yield from chosen(request.param, namespace, api_server.kubeconfig)


@pytest.fixture(params=["Client", "AsyncClient"])
def either_fake(request: pytest.FixtureRequest, fake_api: FakeApi, tmp_path: Path) -> Iterator[Any]:
    """Either client of the fake server."""
    yield from chosen(request.param, None, fake_api.kubeconfig(tmp_path))


def chosen(kind: str, namespace: str | None, kubeconfig: Path) -> Iterator[Any]:
    """One kind of client; closed afterwards."""
    if kind == "Client":
        yield Client(namespace, kubeconfig=kubeconfig)
        return
    client = Blocking(namespace, kubeconfig=kubeconfig)
    yield client
    client.end()
