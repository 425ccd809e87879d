"""Who does not belong to a job gets nothing from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent.identity import make_authority, make_leaf
from tests.cluster.host import wait_for
from tests.e2e.jobs import PATIENT, go, pod, script_job
from tests.e2e.live import Space

pytestmark = pytest.mark.e2e

STRANGER = """
import json, os, socket, ssl

def talk(host, *identity):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if identity:
        tls.load_cert_chain(*identity)
    try:
        with socket.create_connection((host, 7470), 10) as raw, tls.wrap_socket(raw) as line:
            line.sendall(b'{"type":"observe"}\\n')
            return line.recv(1 << 16).decode()
    except OSError:
        return ""

def talk_plainly(host):
    try:
        with socket.create_connection((host, 7470), 10) as raw:
            raw.sendall(b'{"type":"observe"}\\n')
            return raw.recv(1 << 16).decode()
    except OSError:
        return ""

host = os.environ["COORDINATOR"]
print(json.dumps([talk_plainly(host), talk(host), talk(host, "/identity/tls.crt", "/identity/tls.key")]))
"""


@pytest.fixture
def running(space: Space) -> dict[tuple[int, int], dict[str, Any]]:
    """The pods of a job that runs until it is told to end."""
    space.apply(script_job("private", PATIENT))
    space.await_job("private", "runs", lambda job: job.status.phase == "Running")
    return space.pods("private")


def test_a_stranger_gets_nothing_from_the_control_port_and_is_logged(
    space: Space, running: dict[tuple[int, int], dict[str, Any]], tmp_path: Path
) -> None:
    make_authority(tmp_path / "other")
    leaf = make_leaf(tmp_path / "other", "worker", tmp_path / "leaf")
    files = {name: (leaf / name).read_text() for name in ("tls.crt", "tls.key")}
    space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stranger"}, "data": files})
    address = running[0, 1]["status"]["podIP"]
    space.apply(
        pod(
            "stranger",
            ["python3", "-c", STRANGER],
            [{"name": "identity", "configMap": {"name": "stranger"}}],
            env=[{"name": "COORDINATOR", "value": address}],
            volumeMounts=[{"name": "identity", "mountPath": "/identity"}],
        )
    )
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/stranger", "--timeout=60s")
    assert json.loads(space.kubectl("logs", "stranger")) == ["", "", ""]
    wait_for("the refusals in the log", lambda: space.kubectl("logs", "private-0-1").count("refused a connection") >= 3)
    assert "certificate verify failed" in space.kubectl("logs", "private-0-1")


def test_a_job_is_not_disturbed_by_strangers(space: Space, running: dict[tuple[int, int], dict[str, Any]]) -> None:
    go(space, "private", *running)
    assert space.client.wait("private", timeout=60).status.attempt == 1


LOOK = """
import json, os, pathlib
words = (line.split() for line in pathlib.Path("/proc/1/status").read_text().splitlines())
print(json.dumps({
    "user": os.getuid(),
    "token": pathlib.Path("/var/run/secrets/kubernetes.io").exists(),
    "read-only root": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
    "capabilities": sum(int(line[1], 16) for line in words if line[0].startswith("Cap")),
    "may gain privileges": "NoNewPrivs:\\t0" in pathlib.Path("/proc/1/status").read_text(),
}))
"""


def test_pods_have_no_token_and_no_privilege(space: Space, running: dict[tuple[int, int], dict[str, Any]]) -> None:
    assert json.loads(space.kubectl("exec", "private-1-1", "--", "python3", "-c", LOOK)) == {
        "user": 1000,
        "token": False,
        "read-only root": True,
        "capabilities": 0,
        "may gain privileges": False,
    }
    assert sorted(running) == [(0, 1), (1, 1)]
