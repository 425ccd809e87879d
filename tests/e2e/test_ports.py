"""Port scans: what listens in pods of dltrain, and what it says to strangers."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from dltrain.names import CONTROL_PORT
from tests.e2e.jobs import GO, go, pod, script_job
from tests.e2e.live import SYSTEM, Space

pytestmark = pytest.mark.e2e

HEALTH_PORT: Final = 8080
WAITS: Final = f"""
import pathlib, time
import dltrain
from mpi4py import MPI
MPI.COMM_WORLD.allreduce(1)
step = 0
while not pathlib.Path("{GO}").exists():
    step += 1
    dltrain.report(step=step)
    time.sleep(0.05)
"""
SCAN: Final = """
import errno, json, select, socket, sys

BATCH = 500

def open_ports(host):
    found = []
    for first in range(1, 65536, BATCH):
        poll, waiting = select.poll(), {}
        for port in range(first, min(first + BATCH, 65536)):
            one = socket.socket()
            one.setblocking(False)
            if one.connect_ex((host, port)) in (0, errno.EINPROGRESS):
                waiting[one.fileno()] = port, one
                poll.register(one, select.POLLOUT)
            else:
                one.close()
        while waiting and (ready := poll.poll(2000)):
            for number, _ in ready:
                port, one = waiting.pop(number)
                poll.unregister(number)
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(port)
                one.close()
        for _, one in waiting.values():
            one.close()
    return found

def said(host, port):
    try:
        with socket.create_connection((host, port), 3) as one:
            one.settimeout(3)
            one.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
            return one.recv(4096).decode(errors="replace")
    except OSError:
        return ""

print(json.dumps({host: {port: said(host, port) for port in open_ports(host)} for host in sys.argv[1:]}))
"""
STRANGER: Final = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as plain:
    try:
        with context.wrap_socket(plain) as secret:
            secret.settimeout(5)
            secret.sendall(b'{"type": "observe"}\\n')
            print(repr(secret.recv(100)))
    except (ssl.SSLError, ConnectionError) as error:
        print("refused", type(error).__name__)
"""


def scanned(space: Space, *hosts: str) -> dict[tuple[str, int], str]:
    """Host and open port -> what it says to a pod that belongs to no job."""
    found = json.loads(space.kubectl("exec", "stranger", "--", "python3", "-c", SCAN, *hosts))
    return {(host, int(port)): text for host, ports in found.items() for port, text in ports.items()}


def test_strangers_hear_nothing_but_health_and_metrics(space: Space) -> None:
    """MPI's own ports accept connections where no network plugin enforces policies; they say nothing."""
    space.apply(script_job("private", WAITS), pod("stranger", ["sleep", "600"]))
    space.await_job("private", "runs", lambda job: job.status.progress)
    space.kubectl("wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
    workers = [each["status"]["podIP"] for each in space.pods("private").values()]
    found = space.live.read("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/name=dltrain")["items"]
    operators = [each["status"]["podIP"] for each in found]
    said = scanned(space, *workers, *operators)
    assert {(workers[0], CONTROL_PORT)} <= said.keys()
    assert not [where for where, text in said.items() if where[0] in workers and is_answer(text)]
    assert {port for host, port in said if host in operators} <= {HEALTH_PORT}
    assert not [text for text in said.values() if "private" in text]
    answer = space.kubectl("exec", "stranger", "--", "python3", "-c", STRANGER, workers[0], str(CONTROL_PORT))
    assert answer.startswith(("refused", "b''"))
    go(space, "private", (0, 1), (1, 1))


def is_answer(text: str) -> Any:
    """Whether somebody said more than that this is no TLS (an alert is 7 bytes)."""
    return len(text) > 7
