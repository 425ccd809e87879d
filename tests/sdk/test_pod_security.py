"""What Pod Security forbids: the same as the API server's own admission says."""

from __future__ import annotations

import urllib.error
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from dltrain.overlay import overlay
from dltrain.pod_security import Finding, Level, exceeds, findings, host_paths
from dltrain.template import BARE
from tests.apiserver import ApiServer
from tests.sdk.profile_strategies import TEMPLATES

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
LAX: list[Level] = ["restricted", "baseline"]


@pytest.fixture(scope="module")
def guarded(api_server: ApiServer) -> dict[Level, str]:
    """Level -> a namespace that enforces it."""
    spaces = {level: api_server.make_namespace(f"{level}-") for level in LAX}
    for level, space in spaces.items():
        labels = {"pod-security.kubernetes.io/enforce": level}
        api_server.request("PATCH", f"/api/v1/namespaces/{space}", {"metadata": {"labels": labels}})
    return spaces


def refused(server: ApiServer, namespace: str, pod: dict[str, Any]) -> bool:
    """Whether Pod Security refuses a pod; pods that are wrong in other ways are passed over."""
    try:
        server.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    except urllib.error.HTTPError as error:
        (told,) = error.__notes__
        assume("violates PodSecurity" in told)
        return True
    return False


def forbidden(pod: dict[str, Any], level: Level) -> bool:
    """Whether a level forbids a pod, by what is found here."""
    return bool(list(host_paths(pod))) or any(exceeds(finding.needs, level) for finding in findings(pod))


@settings(
    deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(template=TEMPLATES)
@example(template={})
@example(template={"spec": {"securityContext": None}})
def test_the_api_server_judges_as_we_do(
    api_server: ApiServer, guarded: dict[Level, str], template: dict[str, Any]
) -> None:
    pod = overlay(overlay({**POD, **BARE}, {"spec": {"containers": [{"name": "worker", "image": "x"}]}}), template)
    for level in LAX:
        assert refused(api_server, guarded[level], pod) == forbidden(pod, level), level


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        pytest.param(
            {"hostNetwork": True},
            Finding("spec.hostNetwork", "must not be true", "true", "privileged"),
            id="the network of the node",
        ),
        pytest.param(
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            Finding("spec.securityContext.windowsOptions.hostProcess", "must not be true", "true", "privileged"),
            id="a process of a Windows host",
        ),
        pytest.param(
            {"containers": [{"name": "worker", "securityContext": {"procMount": "Unmasked"}}]},
            Finding("spec.containers[0].securityContext.procMount", "must be Default", '"Unmasked"', "privileged"),
            id="all of /proc",
        ),
        pytest.param(
            {"containers": [{"name": "worker", "securityContext": {"capabilities": {"add": ["CHOWN"]}}}]},
            Finding(
                "spec.containers[0].securityContext.capabilities.add",
                "must hold NET_BIND_SERVICE at most",
                '"CHOWN"',
                "baseline",
            ),
            id="a capability of the runtime's default",
        ),
    ],
)
def test_a_finding_says_where_what_and_which_level_allows_it(spec: dict[str, Any], found: Finding) -> None:
    assert findings(overlay(BARE, {"spec": spec})) == [found]


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({"spec": "text"}, id="a spec that is text"),
        pytest.param({"spec": {"containers": "text", "volumes": [1]}}, id="lists that are none"),
        pytest.param({"metadata": [], "spec": {"securityContext": 3}}, id="mappings that are none"),
    ],
)
def test_what_has_a_wrong_type_does_no_harm(template: dict[str, Any]) -> None:
    assert isinstance(findings(overlay(BARE, template)), list)
