"""Fixtures: a real API server, the operator as a process, a namespace of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apiserver import ApiServer, api_server, namespace
from tests.controller.cluster import OperatorProcess, Space, install

__all__ = ["api_server", "namespace"]


@pytest.fixture(scope="session")
def installed(api_server: ApiServer) -> ApiServer:
    """An API server with the operator's manifests."""
    install(api_server)
    return api_server


@pytest.fixture(scope="session")
def running_operator(installed: ApiServer) -> Iterator[OperatorProcess]:
    """The operator, for as long as the tests run."""
    process = OperatorProcess(installed)
    yield process
    process.stop_if_it_runs()


@pytest.fixture
def operator(running_operator: OperatorProcess) -> OperatorProcess:
    """The operator, at work."""
    running_operator.start()
    return running_operator


@pytest.fixture
def space(operator: OperatorProcess) -> Space:
    """A namespace of the test's own, in which the operator works."""
    return Space(operator.server, operator.server.make_namespace())
