"""A job whose pods' logs come from a fake of the network."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from dltrain import logs
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL, WORKER_CONTAINER
from tests.sdk.builders import condition, document
from tests.sdk.fake_api import FakeApi, Reply, Route

JOB = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a"
PODS = "GET /api/v1/namespaces/ml/pods"


@pytest.fixture
def quick_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that do not hold the tests up."""
    monkeypatch.setattr(logs, "PAUSE_SECONDS", 0.02)


def job(*, finished: bool = True, uid: str = "1", replicas: int = 2) -> dict[str, Any]:
    """A job of two ranks a worker."""
    spec = {"command": ["true"], "workers": {"replicas": replicas, "slotsPerWorker": 2}}
    status = {"conditions": [condition("Complete")]} if finished else {}
    return {**document(spec, namespace="ml", uid=uid), "status": status}


def pod(index: int, incarnation: int = 1, phase: str = "Running") -> dict[str, Any]:
    """A worker's pod."""
    labels = {JOB_LABEL: "a", INDEX_LABEL: str(index), INCARNATION_LABEL: str(incarnation)}
    return {"metadata": {"name": f"a-{index}-{incarnation}", "labels": labels}, "status": {"phase": phase}}


def beside_another(state: str) -> dict[str, Any]:
    """A pod whose worker's container is in a state, while another one runs."""
    states = {"proxy": "running", WORKER_CONTAINER: state}
    running = pod(0)
    running["status"]["containerStatuses"] = [{"name": name, "state": {each: {}}} for name, each in states.items()]
    return running


def pods(*items: dict[str, Any]) -> Reply:
    """The list of pods."""
    return Reply({"metadata": {}, "items": list(items)})


def log_of(name: str) -> str:
    """The route of a pod's log."""
    return f"GET /api/v1/namespaces/ml/pods/{name}/log"


def stamped(*lines: str, start: int = 0) -> bytes:
    """Lines as a kubelet writes them, one a nanosecond."""
    return b"".join(f"2026-03-01T12:00:00.{start + at:09}Z {line}\n".encode() for at, line in enumerate(lines))


def kept(*chunks: bytes) -> Route:
    """A log that a kubelet keeps: all of it, or only its last lines."""
    lines = b"".join(chunks).splitlines(keepends=True)
    return lambda query: Reply(b"".join(lines[max(len(lines) - int(query.get("tailLines", len(lines))), 0) :]))


def asked_for(api: FakeApi, route: str) -> int:
    """How often a route was asked."""
    return sum(where == route for where, _ in api.asked)


def since_when(api: FakeApi, route: str) -> list[str | None]:
    """From where a log was asked for, each time."""
    return [query.get("sinceTime") for where, query in api.asked if where == route]


def one_after_the_other(*replies: Reply) -> Route:
    """Answers in turn; the last one again and again."""
    turn = itertools.chain(replies, itertools.repeat(replies[-1]))
    return lambda _: next(turn)


@pytest.fixture
def two_pods(fake_api: FakeApi) -> FakeApi:
    """A finished job of four ranks on two pods."""
    fake_api.routes |= {
        JOB: lambda _: Reply(job()),
        PODS: lambda _: pods(
            pod(1, phase="Succeeded"), pod(0, 2, "Succeeded"), pod(0, 1, "Failed"), pod(1, 2, "Pending")
        ),
        log_of("a-0-1"): kept(stamped("[rank 0] first try")),
        log_of("a-0-2"): kept(stamped("12:00:00 agent: attempt 2", "[rank 0] hello", "[rank 1] hello", start=3)),
        log_of("a-1-1"): kept(stamped("[rank 2] hello", "[rank 3] hello", "[rank 2] bye", start=4)),
    }
    return fake_api


BY_TIME = [
    "[rank 0] first try",
    "12:00:00 agent: attempt 2",
    "[rank 0] hello",
    "[rank 2] hello",
    "[rank 1] hello",
    "[rank 3] hello",
    "[rank 2] bye",
]
"""The lines of its pods."""
