"""The operator as a process: how it starts, answers for its health, and ends."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver import ApiServer, free_port, wait_for
from tests.controller.cluster import OperatorProcess, Space


@pytest.fixture
def narrow(installed: ApiServer, running_operator: OperatorProcess) -> Iterator[tuple[OperatorProcess, Space, int]]:
    """An operator that serves one namespace only, that namespace, and the port of its health."""
    if running_operator.process is not None and running_operator.process.poll() is None:
        running_operator.stop()
    space, port = Space(installed, installed.make_namespace()), free_port()
    process = OperatorProcess(installed, ("--namespace", space.namespace, "--health-port", str(port)), starts=1000)
    process.start()
    yield process, space, port
    process.stop()


def test_an_operator_of_one_namespace_serves_that_and_no_other(narrow: tuple[OperatorProcess, Space, int]) -> None:
    _, space, _ = narrow
    elsewhere = Space(space.server, space.server.make_namespace())
    elsewhere.submit("first")
    space.submit("second")
    space.await_pods("second-0-1", "second-1-1")
    assert (elsewhere.status("first"), elsewhere.pods()) == ({}, {})


def test_the_operator_answers_for_its_health(narrow: tuple[OperatorProcess, Space, int]) -> None:
    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{narrow[2]}/healthz", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    wait_for("the operator's health", healthy)


def test_without_a_cluster_the_operator_says_what_it_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dltrain_operator", "--kubeconfig", str(tmp_path / "missing")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "cannot log in to Kubernetes" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_its_namespace_the_operator_says_so(installed: ApiServer) -> None:
    flags = ["--kubeconfig", str(installed.kubeconfig), "--operator-namespace", "missing"]
    ended = subprocess.run(
        [sys.executable, "-m", "dltrain_operator", *flags], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert 'namespaces "missing" not found' in ended.stderr
