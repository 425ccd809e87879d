"""Watching objects with a real API server."""

from __future__ import annotations

import time

import pytest

from dltrain.connection import connect
from tests.apiserver import ApiServer
from tests.bench.contender import DLTRAIN
from tests.bench.failure import BenchFailure
from tests.bench.timeline import Sighting, Timeline, has_condition


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_a_sighting_is_between_the_request_and_its_discovery(api_server: ApiServer, namespace: str) -> None:
    path, jobs = f"/api/v1/namespaces/{namespace}/configmaps", DLTRAIN.jobs_path(namespace)
    timeline = Timeline(connect(kubeconfig=api_server.kubeconfig), (path, jobs))
    begun = time.time()
    api_server.request("POST", path, config_map("a"))
    api_server.request("POST", jobs, DLTRAIN.job("b"))
    api_server.request("DELETE", f"{path}/a")
    gone = timeline.first("a to go", lambda seen: (seen.name, seen.change) == ("a", "DELETED"), 10)
    made = timeline.first("a to come", lambda seen: seen.name == "a", 10)
    job = timeline.first("b to come", lambda seen: seen.kind == "DLTrainJob", 10)
    assert begun <= made.at <= gone.at <= time.time()
    assert (made.kind, made.change, job.name) == ("ConfigMap", "ADDED", "b")


def test_what_does_not_happen_is_not_waited_for_without_end(api_server: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    timeline = Timeline(connect(kubeconfig=api_server.kubeconfig), (path,))
    api_server.request("POST", path, config_map("a"))
    with pytest.raises(BenchFailure, match=r"gave up waiting 0\.3 s for b to come"):
        timeline.first("b to come", lambda seen: seen.name == "b", 0.3)


def test_a_watch_that_is_refused_is_told(api_server: ApiServer, namespace: str) -> None:
    with pytest.raises(BenchFailure, match="nothings"):
        Timeline(connect(kubeconfig=api_server.kubeconfig), (f"/api/v1/namespaces/{namespace}/nothings",))


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        pytest.param([{"type": "Complete", "status": "True"}], True, id="it holds"),
        pytest.param([{"type": "Complete", "status": "False"}], False, id="it is known not to hold"),
        pytest.param([{"type": "Failed", "status": "True"}], False, id="another one holds"),
        pytest.param(None, False, id="nothing is known"),
    ],
)
def test_whether_a_condition_holds(conditions: list[dict[str, str]] | None, holds: bool) -> None:
    body = {"kind": "DLTrainJob", "metadata": {"name": "a"}, "status": {"conditions": conditions}}
    assert has_condition(body, "Complete") is Sighting(0, "ADDED", body).has_condition("Complete") is holds
