"""The release's own pods: on which nodes they run, and how these get their image."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import SYSTEM, named, objects, render

DEPLOYED = (f"Deployment/{SYSTEM}/dltrain-operator", f"Deployment/{SYSTEM}/dltrain-web-page")


def pods(**values: Any) -> list[dict[str, Any]]:
    """The specs of the pods of the operator, the web page and the test."""
    found = named(objects(render({**values, "webPage": {"enabled": True}})))
    deployed = (found[name]["spec"]["template"]["spec"] for name in DEPLOYED)
    return [*deployed, found[f"Pod/{SYSTEM}/dltrain-test"]["spec"]]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        pytest.param({}, None, id="as Kubernetes does by itself"),
        pytest.param({"pullPolicy": "Always"}, "Always", id="always"),
        pytest.param({"tag": "latest"}, "IfNotPresent", id="a latest one that nodes have is not asked for"),
        pytest.param({"tag": "latest", "pullPolicy": "Never"}, "Never", id="never"),
    ],
)
def test_all_pods_of_the_release_pull_as_the_values_say(image: dict[str, Any], policy: str | None) -> None:
    assert [pod["containers"][0].get("imagePullPolicy") for pod in pods(image=image)] == [policy] * 3


def test_all_pods_of_the_release_run_where_the_operator_may() -> None:
    where = {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
    }
    assert [{key: pod.get(key) for key in where} for pod in pods(operator=where)] == [where] * 3


@pytest.mark.parametrize("value", [1_000_000, 1_000_000_000, -1_000_000_000])
def test_the_value_of_a_priority_is_a_whole_number_however_large(value: int) -> None:
    found = named(objects(render({"priorityClasses": [{"name": "urgent", "value": value}]})))
    assert found["PriorityClass/urgent"]["value"] == value
