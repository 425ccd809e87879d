"""The operator as a process: how it starts, answers for its health, and ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver import ApiServer, free_port, wait_for
from tests.controller.cluster import OperatorProcess, Space


@pytest.fixture
def narrow(installed: ApiServer, running_operator: OperatorProcess) -> Iterator[tuple[OperatorProcess, Space, int]]:
    """An operator that serves one namespace only, that namespace, and the port of its health."""
    running_operator.stop_if_it_runs()
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


def fetched(port: int, path: str) -> tuple[int, str]:
    """The status and the text of one of the operator's pages; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return int(response.status), str(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_the_operator_answers_for_its_health(narrow: tuple[OperatorProcess, Space, int]) -> None:
    wait_for("the operator's health", lambda: fetched(narrow[2], "/healthz") == (200, "ok\n"))
    assert fetched(narrow[2], "/readyz") == (200, "ok\n")


def test_the_metrics_of_a_job_that_ran(narrow: tuple[OperatorProcess, Space, int]) -> None:
    _, space, port = narrow
    space.submit("a", workers={"resources": {"limits": {"nvidia.com/gpu": 1}}})
    space.await_pods("a-0-1", "a-1-1")
    space.place("a-0-1", "a-1-1")
    space.run("a-0-1", "a-1-1")
    space.end("a-1-1", 0)
    space.end("a-0-1", 0)
    space.await_phase("Succeeded")
    wait_for("the event of the last write", lambda: "dltrain_watch_lag_seconds_count 0.0" not in metrics_of(port))
    page = metrics_of(port)
    for line in (
        "dltrain_leader 1.0",
        "dltrain_jobs_created_total 1.0",
        'dltrain_jobs{phase="Succeeded"} 1.0',
        'dltrain_jobs_finished_total{outcome="succeeded",reason="Completed"} 1.0',
        'dltrain_job_latency_seconds_count{milestone="accepted"} 1.0',
        'dltrain_job_latency_seconds_count{milestone="created"} 1.0',
        'dltrain_job_latency_seconds_count{milestone="scheduled"} 1.0',
        'dltrain_job_latency_seconds_count{milestone="complete"} 1.0',
        'dltrain_restarts_total{class="infrastructure"} 0.0',
        'dltrain_api_requests_total{code="201",resource="pods",verb="create"} 2.0',
        "dltrain_queue_depth 0.0",
        "dltrain_gpu_allocated_seconds_total",
        "process_resident_memory_bytes",
    ):
        assert line in page, page
    assert "a-0-1" not in page
    assert 'job="' not in page


def metrics_of(port: int) -> str:
    """The page that Prometheus reads."""
    return fetched(port, "/metrics")[1]


def test_without_an_api_server_the_operator_is_alive_but_not_ready(
    narrow: tuple[OperatorProcess, Space, int],
) -> None:
    _, space, port = narrow
    space.server.kill()
    try:
        wait_for("it to notice", lambda: fetched(port, "/readyz") == (503, "the API server does not answer\n"))
        assert fetched(port, "/healthz") == (200, "ok\n")
    finally:
        space.server.start()
    wait_for("it to be ready again", lambda: fetched(port, "/readyz") == (200, "ok\n"))


@pytest.mark.parametrize("election", ["true", "false"], ids=["with a lease", "without"])
def test_while_the_api_server_hangs_the_operator_is_alive_but_not_ready(
    installed: ApiServer, running_operator: OperatorProcess, election: str
) -> None:
    running_operator.stop_if_it_runs()
    port = free_port()
    arguments = ("--leader-election", election, "--health-port", str(port))
    process = OperatorProcess(installed, arguments, starts=2000 + len(election))
    process.start()
    wait_for("it to be ready", lambda: fetched(port, "/readyz") == (200, "ok\n"))
    server = installed.processes["kube-apiserver"]
    server.send_signal(signal.SIGSTOP)  # it takes connections and answers nothing
    try:
        wait_for("it to notice", lambda: fetched(port, "/readyz") == (503, "the API server does not answer\n"), 12)
        assert fetched(port, "/healthz") == (200, "ok\n")
    finally:
        server.send_signal(signal.SIGCONT)
    wait_for("it to be ready again", lambda: fetched(port, "/readyz") == (200, "ok\n"), 60)
    process.stop()


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
