"""The operator's rights: it uses every one that it is given, and needs no other."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dltrain import names
from dltrain_operator.records import READERS
from dltrain_operator.resources import RESOURCES, path_of, resource_of
from tests.apiserver import wait_for
from tests.controller.cluster import OperatorProcess, Space
from tests.controller.test_manifests import manifest
from tests.controller.test_process import metrics_of, narrow

__all__ = ["narrow"]

WATCHED = {RESOURCES[kind][1] for kind in READERS}
"""kopf lists and watches these; its requests are not among those that the operator counts."""


def granted() -> set[tuple[str, str]]:
    """(verb, resource) of the manifests' two roles."""
    rules: list[dict[str, Any]] = [*manifest("ClusterRole")["rules"], *manifest("Role")["rules"]]
    return {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def answered(port: int) -> dict[tuple[str, str], set[str]]:
    """(verb, resource) -> the codes of the answers, of all requests that the operator has sent."""
    found: dict[tuple[str, str], set[str]] = {}
    pattern = r'^dltrain_api_requests_total\{code="(\d+)",resource="([^"]+)",verb="(\w+)"\}'
    for code, resource, verb in re.findall(pattern, metrics_of(port), re.MULTILINE):
        found.setdefault((verb, resource), set()).add(code)
    return found


@pytest.mark.parametrize(
    ("arguments", "resource"),
    [
        pytest.param(("Pod", "ml"), "pods", id="all of a namespace"),
        pytest.param(("Pod", "pods", "pods"), "pods", id="a namespace and an object of the same name"),
        pytest.param(("DLTrainJob", "ml", "a", "status"), "dltrainjobs/status", id="a subresource"),
        pytest.param(("Lease", "ml", "a"), "leases", id="another group"),
    ],
)
def test_the_resource_that_a_path_leads_to(arguments: tuple[str, ...], resource: str) -> None:
    assert resource_of(path_of(*arguments)) == resource


def lead_a_full_life(space: Space) -> None:
    """A job whose children are repaired and whose pod is replaced, and that is deleted after its end."""
    space.submit("a", runPolicy={"ttlSecondsAfterFinished": 1})
    space.await_pods("a-0-1", "a-1-1")
    foreign = {"metadata": {"annotations": {"dltrain.io/desired-hash": "another"}}}
    for plural in ("configmaps", "services", "networkpolicies"):
        space.server.request("PATCH", space.path(plural, "a"), foreign)
    space.run("a-0-1", "a-1-1")
    space.set_policy("a", suspend=True)
    space.await_phase("Suspended")
    space.set_policy("a", suspend=False)
    space.await_pods("a-0-2", "a-1-2")
    space.run("a-0-2", "a-1-2")
    space.end("a-1-2", 0)
    space.end("a-0-2", 0)
    wait_for("the job to be deleted", lambda: not space.items("dltrainjobs"))


def test_every_right_is_used_and_no_other_is_needed(narrow: tuple[OperatorProcess, Space, int]) -> None:
    _, space, port = narrow
    lead_a_full_life(space)
    needed = {("watch", resource) for resource in (*WATCHED, names.PROFILE_PLURAL)}
    wait_for("a renewal of the lease", lambda: ("update", "leases") in answered(port))
    used = answered(port)
    assert {request: codes for request, codes in used.items() if "403" in codes} == {}
    once_per_installation = {("create", "leases"), ("create", "secrets")}  # the second is also a job's identity
    with_gangs = {("create", "podgroups")}  # test_gangs.py shows that it is used
    for_everyone = {("get", version) for version in ("v1beta1", "v1alpha1")}  # discovery
    assert (used.keys() - for_everyone) | needed | once_per_installation | with_gangs == granted()
