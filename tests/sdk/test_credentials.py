"""Tokens that expire, servers that put requests off: calls survive, or fail with the reason; for both clients."""

import json
from typing import Any

import pytest

from dltrain.errors import ClusterError
from dltrain.names import INCARNATION_LABEL, INDEX_LABEL, JOB_LABEL
from tests.sdk.builders import condition, document
from tests.sdk.fake_api import FakeApi, Reply, failure

JOB = "GET /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a"
JOBS = JOB.removesuffix("/a")


def job(**status: Any) -> dict[str, Any]:
    """A job as the server has it."""
    return {**document(namespace="ml", uid="1", resourceVersion="3"), "status": status}


def accepted(api: FakeApi, token: str, route: Any) -> Any:
    """A route that refuses other tokens."""
    return lambda query: route(query) if api.tokens[-1] == f"Bearer {token}" else failure(401, "Unauthorized")


def test_an_expired_token_is_made_anew(plugin: FakeApi, either_fake: Any) -> None:
    plugin.routes[JOB] = accepted(plugin, "t2", lambda _: Reply(job()))
    assert either_fake.get("a").name == "a"
    assert plugin.tokens == ["Bearer t1", "Bearer t2"]


def test_a_token_that_expires_while_a_job_is_waited_for(plugin: FakeApi, either_fake: Any) -> None:
    plugin.routes[JOB] = lambda _: Reply(job())
    event = {"type": "MODIFIED", "object": job(conditions=[condition("Complete")])}

    def jobs(query: dict[str, str]) -> Reply:
        if query.get("watch"):
            return Reply(json.dumps(event).encode() + b"\n")
        return Reply({"metadata": {"resourceVersion": "4"}, "items": [job()]})

    plugin.routes[JOBS] = accepted(plugin, "t2", jobs)
    assert either_fake.wait("a", timeout=20).status.finished
    assert plugin.tokens == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]


def test_a_token_that_expires_while_jobs_are_watched(plugin: FakeApi, either_fake: Any) -> None:
    lists = iter([Reply({"metadata": {"resourceVersion": "4"}, "items": [job()]})])
    event = {"type": "MODIFIED", "object": {**job(phase="Running"), "metadata": {**job()["metadata"], "uid": "2"}}}
    watched = accepted(plugin, "t2", lambda _: Reply(json.dumps(event).encode() + b"\n"))
    plugin.routes[JOBS] = lambda query: watched(query) if query.get("watch") else next(lists)
    events = either_fake.watch(timeout=20)
    assert [next(events).kind, next(events).kind] == ["ADDED", "MODIFIED"]
    assert plugin.tokens == ["Bearer t1", "Bearer t1", "Bearer t2"]
    events.close()


def test_a_token_that_expires_while_logs_are_followed(plugin: FakeApi, either_fake: Any) -> None:
    labels = {JOB_LABEL: "a", INDEX_LABEL: "0", INCARNATION_LABEL: "1"}
    pod = {"metadata": {"name": "a-0-1", "labels": labels}, "status": {"phase": "Running"}}
    log = "GET /api/v1/namespaces/ml/pods/a-0-1/log"
    plugin.routes |= {
        JOB: lambda _: Reply(job(conditions=[condition("Complete")])),
        "GET /api/v1/namespaces/ml/pods": lambda _: Reply({"metadata": {}, "items": [pod]}),
        log: accepted(plugin, "t2", lambda _: Reply(b"2026-03-01T12:00:00.000000001Z [rank 0] here\n")),
    }
    assert list(either_fake.logs("a", follow=True)) == ["[rank 0] here"]
    assert "Bearer t2" in plugin.tokens


def test_credentials_that_are_refused_for_good_fail_at_once(plugin: FakeApi, either_fake: Any) -> None:
    plugin.routes[JOB] = lambda _: failure(401, "Unauthorized")
    with pytest.raises(ClusterError, match="does not accept these credentials; log in again"):
        either_fake.get("a")
    assert len(plugin.asked) == 2


def test_a_fixed_token_is_not_tried_twice(fake_api: FakeApi, either_fake: Any) -> None:
    fake_api.routes[JOB] = lambda _: failure(401, "Unauthorized")
    with pytest.raises(ClusterError, match="does not accept these credentials"):
        either_fake.get("a")
    assert len(fake_api.asked) == 1


def test_a_server_that_is_too_busy_is_asked_again_when_it_says(fake_api: FakeApi, either_fake: Any) -> None:
    busy = Reply({"kind": "Status", "message": "too many requests"}, 429, {"Retry-After": "1"})
    replies = iter([busy, busy, Reply(job(conditions=[condition("Complete")]))])
    fake_api.routes[JOB] = lambda _: next(replies)
    assert either_fake.wait("a", timeout=20).status.finished
    assert len(fake_api.asked) == 3


def test_a_server_that_is_busy_for_long_is_an_error_with_its_reason(fake_api: FakeApi, either_fake: Any) -> None:
    fake_api.routes[JOB] = lambda _: failure(503, "starting")
    with pytest.raises(ClusterError, match="cannot answer now: starting; try again in a moment"):
        either_fake.get("a")


def test_pages_whose_list_has_expired_are_read_anew(fake_api: FakeApi, either_fake: Any) -> None:
    first = Reply({"metadata": {"resourceVersion": "1", "continue": "x"}, "items": [job()]})
    last = Reply({"metadata": {"resourceVersion": "1"}, "items": [job()]})
    replies = iter([first, failure(410, "expired", "Expired"), first, last])
    fake_api.routes[JOBS] = lambda _: next(replies)
    assert len(either_fake.list()) == 2
    assert [query.get("continue") for _, query in fake_api.asked] == [None, "x", None, "x"]
