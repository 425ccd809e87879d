"""Which nodes a pod's tolerations and required affinity let in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.capacity.selectors import is_tolerated, meets_affinity
from tests.sdk.selectors import GPU_TAINT, affinity, expression


@pytest.mark.parametrize(
    ("toleration", "holds"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "cpu", "operator": "Exists"}, False),
        ({"value": "yes"}, False),
        ({"key": "gpu", "operator": "Lt", "value": "yes"}, False),
        ({}, False),
    ],
)
def test_a_taint_is_tolerated_by_key_value_and_effect(toleration: dict[str, Any], holds: bool) -> None:
    assert is_tolerated(GPU_TAINT, [toleration]) is holds
    assert is_tolerated({**GPU_TAINT, "effect": "PreferNoSchedule"}, [])


@pytest.mark.parametrize(
    ("spec", "holds"),
    [
        pytest.param({}, True, id="none"),
        pytest.param(affinity({"matchExpressions": [expression("In", "a", "b")]}), True, id="In"),
        pytest.param(affinity({"matchExpressions": [expression("NotIn", "a")]}), False, id="NotIn"),
        pytest.param(affinity({"matchExpressions": [expression("NotIn", "a", key="rack")]}), True, id="no such label"),
        pytest.param(affinity({"matchExpressions": [expression("Exists")]}), True, id="Exists"),
        pytest.param(affinity({"matchExpressions": [expression("DoesNotExist")]}), False, id="DoesNotExist"),
        pytest.param(affinity({"matchExpressions": [expression("Gt", "7", key="cores")]}), True, id="Gt"),
        pytest.param(affinity({"matchExpressions": [expression("Lt", "8", key="cores")]}), False, id="Lt"),
        pytest.param(affinity({"matchExpressions": [expression("Gt", "x", key="cores")]}), False, id="no number"),
        pytest.param(affinity({"matchExpressions": [expression("Unheard")]}), False, id="an unknown operator"),
        pytest.param(
            affinity({"matchExpressions": [expression("In", "b")]}, {"matchExpressions": [expression("In", "a")]}),
            True,
            id="one of two terms",
        ),
        pytest.param(
            affinity({"matchExpressions": [expression("In", "a"), expression("DoesNotExist")]}), False, id="half a term"
        ),
        pytest.param(affinity({"matchFields": [expression("In", "n", key="metadata.name")]}), True, id="by name"),
        pytest.param(affinity({}), False, id="an empty term"),
        pytest.param(affinity(), False, id="no term"),
    ],
)
def test_a_node_meets_one_whole_term_of_the_required_affinity(spec: dict[str, Any], holds: bool) -> None:
    assert meets_affinity(spec, "n", {"zone": "a", "cores": "8"}) is holds


@given(st.sampled_from(["a", "b", None]), st.lists(st.sampled_from("abc")))
def test_operators_come_in_opposites(label: str | None, values: list[str]) -> None:
    labels = {} if label is None else {"zone": label}
    for one, other in (("In", "NotIn"), ("Exists", "DoesNotExist")):
        found = [
            meets_affinity(affinity({"matchExpressions": [expression(each, *values)]}), "n", labels)
            for each in (one, other)
        ]
        assert sorted(found) == [False, True]
