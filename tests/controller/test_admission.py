"""Those who are asked before a pod is created: what they refuse, or cannot answer, ends no job, and the job says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.error import HTTPError

import pytest

from tests.apiserver import ApiServer, wait_for
from tests.controller.cluster import Space

API: Final = "/apis/admissionregistration.k8s.io/v1"
PODS: Final = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
PROBE: Final = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}

Guard = list[tuple[str, dict[str, Any]]]
"""Plural and spec of the objects that guard a namespace."""


def only(namespace: str) -> dict[str, Any]:
    """What selects one namespace."""
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def policy(namespace: str) -> Guard:
    """A policy that refuses every pod of a namespace, as invalid: that is what policies say unless they are told."""
    rules = {"resourceRules": PODS, "namespaceSelector": only(namespace)}
    refusal = {"expression": "false", "message": "no pods before the image is scanned"}
    return [
        ("validatingadmissionpolicies", {"spec": {"matchConstraints": rules, "validations": [refusal]}}),
        ("validatingadmissionpolicybindings", {"spec": {"policyName": namespace, "validationActions": ["Deny"]}}),
    ]


def webhook(namespace: str) -> Guard:
    """A webhook for every pod of a namespace that nobody answers."""
    hook = {
        "name": "pods.example.com",
        "rules": PODS,
        "namespaceSelector": only(namespace),
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    return [("validatingwebhookconfigurations", {"webhooks": [hook]})]


def is_refused(server: ApiServer, namespace: str) -> bool:
    """Whether a pod would be refused."""
    try:
        server.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", PROBE)
    except HTTPError:
        return True
    return False


@pytest.fixture
def guarded(space: Space, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace with a guard."""
    objects: Guard = request.param(space.namespace)
    for plural, body in objects:
        space.server.request("POST", f"{API}/{plural}", {"metadata": {"name": space.namespace}, **body})
    wait_for("the guard", lambda: is_refused(space.server, space.namespace))
    yield space
    for plural, _ in objects:
        found = space.server.request("GET", f"{API}/{plural}")["items"]
        if space.namespace in [each["metadata"]["name"] for each in found]:
            space.server.request("DELETE", f"{API}/{plural}/{space.namespace}")


@pytest.mark.parametrize(
    ("guarded", "plural", "words"),
    [
        pytest.param(policy, "validatingadmissionpolicybindings", "before the image is scanned", id="a policy refuses"),
        pytest.param(webhook, "validatingwebhookconfigurations", "failed calling webhook", id="a webhook is down"),
    ],
    indirect=["guarded"],
)
def test_a_job_whose_pods_are_refused_says_why_and_gets_them_once_they_are_not(
    guarded: Space, plural: str, words: str
) -> None:
    guarded.submit()
    wait_for("a reason", lambda: words in guarded.message())
    assert guarded.status()["phase"] == "Pending"
    guarded.server.request("DELETE", f"{API}/{plural}/{guarded.namespace}")
    guarded.await_pods("a-0-1", "a-1-1")
    wait_for("nothing more to be said of it", lambda: words not in guarded.message())
