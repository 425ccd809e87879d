"""Which quotas count a job's pods, and whether they leave enough."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.capacity.quotas import applies, shares, unsaid
from tests.sdk.selectors import expression


def quota(hard: dict[str, Any], used: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "q"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used or {}} if used is not None else {},
    }


GPU_POD: Final = {
    "containers": [{"resources": {"limits": {"cpu": 2, "nvidia.com/gpu": 4}, "requests": {"cpu": 1, "memory": "1Gi"}}}]
}


def test_every_name_that_a_quota_has_for_what_a_job_takes_is_counted() -> None:
    hard = {"cpu": 9, "requests.cpu": 9, "limits.cpu": 9, "requests.memory": "9Gi", "requests.nvidia.com/gpu": 9}
    hard |= {"pods": 9, "count/pods": 9, "count/configmaps": 9, "secrets": 9, "count/dltrainjobs.dltrain.io": 9}
    hard |= {"persistentvolumeclaims": 9}
    found: dict[str, tuple[Any, bool]]
    found = {share.name: (share.each, share.once) for share in shares(quota(hard), GPU_POD)}
    assert found == {
        "cpu": (1, False),
        "requests.cpu": (1, False),
        "limits.cpu": (2, False),
        "requests.memory": (1024**3, False),
        "requests.nvidia.com/gpu": (4, False),
        "pods": (1, False),
        "count/pods": (1, False),
        "count/configmaps": (1, True),
        "secrets": (1, True),
        "count/dltrainjobs.dltrain.io": (1, True),
    }


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 5), st.integers(1, 5))
def test_a_quota_is_enough_exactly_where_use_and_demand_stay_within_it(
    hard: int, used: int, each: int, pods: int
) -> None:
    spec = {"containers": [{"resources": {"requests": {"cpu": each}}}]}
    (share,) = shares(quota({"requests.cpu": hard}, {"requests.cpu": used}), spec)
    assert share.enough_for(pods) is (used + pods * each <= hard)


def test_a_container_that_does_not_say_what_a_quota_limits_is_told() -> None:
    limits = quota({"limits.memory": 1, "requests.cpu": 1, "cpu": 1, "memory": "1Gi"})
    assert list(unsaid(limits, GPU_POD)) == ["limits.memory"]
    assert set(unsaid(limits, {"containers": [*GPU_POD["containers"], {"name": "sidecar"}]})) == {
        "limits.memory",
        "requests.cpu",
        "requests.memory",
    }


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ({}, True),
        ({"scopes": ["NotTerminating"]}, True),
        ({"scopes": ["Terminating"]}, False),
        ({"scopes": ["NotBestEffort"]}, True),
        ({"scopes": ["BestEffort"]}, False),
        ({"scopes": ["CrossNamespacePodAffinity"]}, False),
        ({"scopes": ["PriorityClass"]}, True),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", **expression("In", "high")}]}}, True),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", **expression("In", "low")}]}}, False),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}, False),
    ],
)
def test_a_quota_counts_the_pods_in_its_scopes(scope: dict[str, Any], holds: bool) -> None:
    assert applies(quota({"pods": 1}, **scope), GPU_POD, "high") is holds
