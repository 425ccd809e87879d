"""Fixtures: a real API server, a namespace and a client of the test's own; a fake one for faults of the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dltrain.client import Client
from tests.apiserver import ApiServer, api_server, namespace
from tests.sdk.command_line import CommandLine
from tests.sdk.fake_api import FakeApi, serving

__all__ = ["api_server", "namespace"]


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
def fake_client(fake_api: FakeApi, tmp_path: Path) -> Client:
    """A client of the fake server."""
    return Client(kubeconfig=fake_api.kubeconfig(tmp_path))


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
