"""What a pod asks for in all: its containers, its start, its sidecars, the template and a LimitRange."""

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.capacity.pods import Amounts, added, limited, requested, total, with_defaults, worker_spec
from tests.sdk.builders import job

NAMES: Final = ("cpu", "memory", "nvidia.com/gpu")
resources: Final = st.fixed_dictionaries({}, optional={name: st.integers(0, 12) for name in NAMES})
containers: Final = st.lists(
    st.builds(lambda limits, requests: {"resources": {"limits": limits, "requests": requests}}, resources, resources),
    max_size=3,
)


def test_a_limit_counts_as_a_request_where_none_is_written() -> None:
    container = {"resources": {"limits": {"cpu": "2", "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}}}
    assert requested(container) == {"cpu": Decimal("0.5"), "nvidia.com/gpu": Decimal(1)}
    assert limited(container) == {"cpu": Decimal(2), "nvidia.com/gpu": Decimal(1)}


@pytest.mark.parametrize(
    ("spec", "cpus"),
    [
        pytest.param({"initContainers": [{"cpu": 5}], "containers": [{"cpu": 1}, {"cpu": 2}]}, 5, id="a large start"),
        pytest.param({"initContainers": [{"cpu": 2}, {"cpu": 3}], "containers": [{"cpu": 4}]}, 4, id="a small start"),
        pytest.param({"initContainers": [{"cpu": 2, "stays": True}], "containers": [{"cpu": 3}]}, 5, id="a sidecar"),
        pytest.param(
            {"initContainers": [{"cpu": 2, "stays": True}, {"cpu": 6}], "containers": [{"cpu": 3}]},
            8,
            id="a start beside a sidecar",
        ),
        pytest.param({"containers": [{"cpu": 3}], "overhead": {"cpu": "1"}}, 4, id="overhead"),
        pytest.param({"containers": [{"cpu": 3}], "resources": {"requests": {"cpu": 7}}}, 7, id="of the whole pod"),
        pytest.param({"containers": 3, "initContainers": "x", "overhead": []}, 0, id="nonsense"),
    ],
)
def test_a_pod_comes_to_what_its_start_or_its_work_needs(spec: dict[str, Any], cpus: int) -> None:
    for kind in ("containers", "initContainers"):
        if isinstance(spec.get(kind), list):
            spec = {**spec, kind: [container(**each) for each in spec[kind]]}
    assert total(spec, requested).get("cpu", 0) == cpus


def container(cpu: int, stays: bool = False) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **({"restartPolicy": "Always"} if stays else {})}


@given(containers, containers)
def test_a_pod_asks_for_no_less_than_any_of_its_moments(starting: list[Any], working: list[Any]) -> None:
    asked = total({"initContainers": starting, "containers": working}, requested)
    together: Amounts = {}
    for each in working:
        together = added(together, requested(each))
    for moment in (together, *map(requested, starting)):
        assert all(asked[name] >= value for name, value in moment.items())


def test_the_template_counts_and_a_limit_range_fills_what_is_left_open() -> None:
    sidecar = {"name": "sidecar", "resources": {"requests": {"memory": "1Gi"}}}
    workers = {
        "resources": {"limits": {"cpu": 4}},
        "template": {"spec": {"containers": [sidecar], "tolerations": [{"operator": "Exists"}]}},
    }
    rule = {"type": "Container", "default": {"cpu": "2", "memory": "2Gi"}, "defaultRequest": {"cpu": "1"}}
    ranges = [{"spec": {"limits": [{"type": "Pod", "max": {"cpu": 1}}, rule]}}]
    spec = worker_spec(job({"command": ["x"], "workers": workers, "scheduling": {"priorityClassName": "high"}}), ranges)
    assert spec == {
        "priorityClassName": "high",
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "worker",
                "resources": {"limits": {"cpu": 4, "memory": "2Gi"}, "requests": {"cpu": 4}},
            },
            {
                "name": "sidecar",
                "resources": {
                    "limits": {"cpu": "2", "memory": "2Gi"},
                    "requests": {"cpu": "1", "memory": "1Gi"},
                },
            },
        ],
    }
    assert with_defaults("nonsense", ranges) == []
