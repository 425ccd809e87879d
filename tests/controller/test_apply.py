"""Requests to the Kubernetes API: what is sent where, and what an answer means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.errors import AlreadyExistsError, ClusterError, NotFoundError, UnavailableError
from dltrain_operator.answers import RefusedError, StaleError, WebhookDownError, error_of, seconds_in
from dltrain_operator.apply import connected
from dltrain_operator.patience import patiently
from dltrain_operator.resources import path_of
from tests.apiserver import ApiServer


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        pytest.param(("Pod", "ml", "a-0-1"), "/api/v1/namespaces/ml/pods/a-0-1", id="an object"),
        pytest.param(("Pod", "ml"), "/api/v1/namespaces/ml/pods", id="all in a namespace"),
        pytest.param(("NetworkPolicy", ""), "/apis/networking.k8s.io/v1/networkpolicies", id="all everywhere"),
        pytest.param(
            ("DLTrainJob", "ml", "a", "status"),
            "/apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs/a/status",
            id="a subresource",
        ),
    ],
)
def test_where_the_api_serves_what(arguments: tuple[str, ...], path: str) -> None:
    assert path_of(*arguments) == path


def answer(reason: str, message: str) -> bytes:
    """A Status as the API server sends it."""
    return json.dumps({"kind": "Status", "reason": reason, "message": message}).encode()


DENIED = 'admission webhook "mutate.example.com" denied the request: registry: i/o timeout'
BY_POLICY = "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
DOWN = 'Internal error occurred: failed calling webhook "mpod.kb.io": failed to call webhook: connection refused'


@pytest.mark.parametrize(
    ("status", "text", "kind", "message"),
    [
        pytest.param(404, answer("NotFound", "no pod a"), NotFoundError, "GET /x: no pod a", id="not found"),
        pytest.param(409, answer("AlreadyExists", "a exists"), AlreadyExistsError, "GET /x: a exists", id="exists"),
        pytest.param(409, answer("Conflict", "a changed"), StaleError, "GET /x: a changed", id="conflict"),
        pytest.param(422, answer("Invalid", "Pod a is invalid"), RefusedError, "Pod a is invalid", id="invalid"),
        pytest.param(400, answer("BadRequest", "unknown field"), RefusedError, "unknown field", id="bad request"),
        pytest.param(400, answer("", DENIED), ClusterError, f"GET /x: {DENIED}", id="a webhook, without a reason"),
        pytest.param(422, answer("Invalid", DENIED), ClusterError, f"GET /x: {DENIED}", id="a webhook"),
        pytest.param(422, answer("Invalid", BY_POLICY), ClusterError, f"GET /x: {BY_POLICY}", id="a policy"),
        pytest.param(
            500, answer("InternalError", DOWN), WebhookDownError, f"GET /x: {DOWN}", id="a webhook that is down"
        ),
        pytest.param(403, answer("Forbidden", "quota"), ClusterError, "GET /x: quota", id="forbidden"),
        pytest.param(429, answer("TooManyRequests", "busy"), UnavailableError, "GET /x: busy", id="busy"),
        pytest.param(503, b"upstream", UnavailableError, "GET /x: upstream", id="a proxy's words"),
        pytest.param(500, b"", UnavailableError, "GET /x: HTTP status 500", id="no words"),
    ],
)
def test_what_a_refusal_means(status: int, text: bytes, kind: type[ClusterError], message: str) -> None:
    error = error_of(status, "GET /x", text, retry_after=3.0)
    assert (type(error), str(error)) == (kind, message)
    assert getattr(error, "retry_after_seconds", 3.0) == 3.0


@pytest.mark.parametrize(("header", "seconds"), [(None, 0.0), ("7", 7.0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0)])
def test_how_long_the_api_asks_to_wait(header: str | None, seconds: float) -> None:
    assert seconds_in(header) == seconds


def config_map(namespace: str, name: str, **labels: str) -> dict[str, Any]:
    """A ConfigMap."""
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1", "b": "2"}}


async def test_an_object_is_created_applied_and_deleted(api_server: ApiServer, namespace: str) -> None:
    async with connected(api_server.kubeconfig, 4) as cluster:
        created = await cluster.create(config_map(namespace, "x"))
        with pytest.raises(AlreadyExistsError):
            await cluster.create(config_map(namespace, "x"))
        assert (await cluster.get("ConfigMap", namespace, "x"))["data"] == {"a": "1", "b": "2"}
        applied = await cluster.apply({**config_map(namespace, "x"), "data": {"a": "2"}})
        assert (await cluster.get("ConfigMap", namespace, "x"))["data"]["a"] == "2"
        assert {(made["kind"], "data" in made) for made in (created, applied)} == {("ConfigMap", False)}
        with pytest.raises(StaleError):
            await cluster.delete("ConfigMap", namespace, "x", uid="another")
        with pytest.raises(StaleError):
            await cluster.delete_unchanged("ConfigMap", namespace, "x", int(created["metadata"]["resourceVersion"]))
        await cluster.delete("ConfigMap", namespace, "x", created["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            await cluster.get("ConfigMap", namespace, "x")


async def test_a_mistyped_field_is_refused(api_server: ApiServer, namespace: str) -> None:
    async with connected(api_server.kubeconfig, 4) as cluster:
        with pytest.raises(RefusedError, match='unknown field "datta"'):
            await cluster.create({**config_map(namespace, "x"), "datta": {}})


async def test_a_long_list_comes_in_pages_of_one_moment(
    api_server: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dltrain_operator.apply.PAGE", 2)
    async with connected(api_server.kubeconfig, 4) as cluster:
        for number in range(5):
            await cluster.create(config_map(namespace, f"x-{number}", mine="yes"))
        pages = [page async for page in cluster.pages("ConfigMap", namespace, "mine")]
    names = [[item["metadata"]["name"] for item in page["items"]] for page in pages]
    assert names == [["x-0", "x-1"], ["x-2", "x-3"], ["x-4"]]
    assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1


async def test_credentials_that_have_expired_are_read_again(api_server: ApiServer, tmp_path: Path) -> None:
    good = yaml.safe_load(api_server.kubeconfig.read_text())
    bad = yaml.safe_load(api_server.kubeconfig.read_text())
    bad["users"][0]["user"]["token"] = "expired"
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(bad))
    async with connected(file, 4) as cluster:
        with pytest.raises(ClusterError, match="Unauthorized"):
            await cluster.get("ConfigMap", "default", "x")
        file.write_text(yaml.safe_dump(good))
        with pytest.raises(NotFoundError):
            await cluster.get("ConfigMap", "default", "x")


async def test_an_api_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    async with connected(file, 4) as cluster:
        with pytest.raises(UnavailableError, match="GET /api/v1/namespaces/ml/pods/a"):
            await cluster.get("Pod", "ml", "a")


async def test_without_credentials_there_is_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="give --kubeconfig"):
        async with connected(tmp_path / "missing", 4):
            pass


async def test_what_passes_with_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dltrain_operator.patience.PAUSE_SECONDS", 0)
    answers: list[str | ClusterError] = [UnavailableError("starting"), UnavailableError("starting"), "ready"]

    async def ask() -> str:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    assert await patiently(ask, UnavailableError) == "ready"
    answers.append(NotFoundError("no namespace"))
    with pytest.raises(NotFoundError):
        await patiently(ask, UnavailableError)
