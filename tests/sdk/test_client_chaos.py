"""What goes wrong between a client and its API server, at every request of wait, watch and logs: the call survives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL
from tests.sdk.builders import condition, document
from tests.sdk.fake_api import FakeApi, Reply, Route, failure

JOBS: Final = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
PODS: Final = "GET /api/v1/namespaces/ml/pods"
LINES: Final = b"2026-03-01T12:00:00.000000001Z [rank 0] one\n2026-03-01T12:00:00.000000002Z [rank 0] two\n"
FAULTS: Final[dict[str, Callable[[], Reply]]] = {
    "it restarts": lambda: failure(503, "the server is starting"),
    "the connection breaks": lambda: Reply([b'{"type": "MODI', None]),  # the fake's sign for it
    "it has forgotten (410)": lambda: failure(410, "too old resource version", "Expired"),
    "it is too busy (429)": lambda: Reply({"kind": "Status", "message": "busy"}, 429, {"Retry-After": "0"}),
    "the token expires (401)": lambda: failure(401, "Unauthorized"),
}
"""What the first request of each kind meets."""


def job(version: int, **status: Any) -> dict[str, Any]:
    """A job as the server has it."""
    return {**document(namespace="ml", uid="1", resourceVersion=str(version)), "status": status}


RUNNING: Final = job(3, phase="Running")
DONE: Final = job(5, phase="Succeeded", conditions=[condition("Complete")])


def jobs(query: dict[str, str]) -> Reply:
    """The list of jobs, or the watch that sees the job end."""
    if query.get("watch"):
        return Reply(json.dumps({"type": "MODIFIED", "object": DONE}).encode() + b"\n")
    return Reply({"metadata": {"resourceVersion": "4"}, "items": [RUNNING]})


def once(fault: Callable[[], Reply], route: Route) -> Route:
    """A route whose first answer, to lists and to watches each, is a fault."""
    met: set[bool] = set()

    def answer(query: dict[str, str]) -> Reply:
        watched = "watch" in query
        if watched in met:
            return route(query)
        met.add(watched)
        return fault()

    return answer


@pytest.fixture(params=FAULTS)
def faulty(request: pytest.FixtureRequest, plugin: FakeApi) -> FakeApi:
    """A server at which the first request of each kind meets a fault."""
    labels = {JOB_LABEL: "a", INDEX_LABEL: "0", INCARNATION_LABEL: "1"}
    pod = {"metadata": {"name": "a-0-1", "labels": labels}, "status": {"phase": "Running"}}
    answers = iter([RUNNING, RUNNING])
    routes: dict[str, Route] = {
        JOBS: jobs,
        f"{JOBS}/a": lambda _: Reply(next(answers, DONE)),
        PODS: lambda _: Reply({"metadata": {}, "items": [pod]}),
        f"{PODS}/a-0-1/log": lambda _: Reply(LINES),
    }
    fault = FAULTS[request.param]
    only_lists = "410" in request.param  # there is no version in the other questions
    plugin.routes |= {
        where: once(fault, route) if where in {JOBS, PODS} or not only_lists else route
        for where, route in routes.items()
    }
    return plugin


def test_a_wait_ends_with_the_job(faulty: FakeApi, either_fake: Any) -> None:
    assert either_fake.wait("a", timeout=30).status.phase == "Succeeded"


def test_a_watch_sees_the_job_end(faulty: FakeApi, either_fake: Any) -> None:
    events = either_fake.watch("a", timeout=30)
    seen = []
    while "Succeeded" not in seen:
        seen.append(next(events).job.status.phase)
    events.close()
    assert seen == ["Running", "Succeeded"]


def test_followed_logs_have_every_line_once(faulty: FakeApi, either_fake: Any) -> None:
    assert list(either_fake.logs("a", follow=True)) == ["[rank 0] one", "[rank 0] two"]
