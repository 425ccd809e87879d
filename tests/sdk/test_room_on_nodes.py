"""How many pods have room on nodes, and what a node keeps pods away with; claims of arithmetic are properties."""

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.capacity.nodes import Node, asked_of_node, domains, nodes_of, refusal, room, scarce
from dltrain.capacity.pods import Amounts
from tests.sdk.selectors import GPU_TAINT, affinity, expression

NAMES: Final = ("cpu", "memory", "nvidia.com/gpu")
small: Final = st.integers(0, 12).map(Decimal)
amounts: Final = st.dictionaries(st.sampled_from(NAMES), small)


def pod(node: str = "a", phase: str = "Running", **asked: Any) -> dict[str, Any]:
    return {"spec": {"nodeName": node, "containers": [{"resources": {"requests": asked}}]}, "status": {"phase": phase}}


def node(name: str = "a", **spec: Any) -> dict[str, Any]:
    allocatable = {"cpu": "8", "memory": "16Gi", "pods": "10"}
    status = {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "labels": spec.pop("labels", {})}, "spec": spec, "status": status}


def placed_one_by_one(asked: Amounts, free: list[dict[str, Decimal]]) -> list[int]:
    """How many pods each node gets, placed on the first node with room until there is none; changes what is free."""
    found = [0] * len(free)
    while True:
        for place, left in enumerate(free):
            if all(left.get(name, 0) >= value for name, value in asked.items()):
                for name, value in asked.items():
                    left[name] = left.get(name, Decimal(0)) - value
                found[place] += 1
                break
        else:
            return found


@given(amounts.map(lambda found: {**found, "pods": Decimal(1)}), st.lists(amounts, max_size=4), st.integers(0, 5))
def test_there_is_room_for_as_many_pods_as_can_be_placed_one_by_one(
    asked: Amounts, free: list[dict[str, Decimal]], pods: int
) -> None:
    free = [{**each, "pods": Decimal(pods)} for each in free]
    assert [room(asked, each) for each in free] == placed_one_by_one(asked, [dict(each) for each in free])


@given(amounts.filter(lambda found: any(found.values())), amounts)
def test_what_is_scarce_is_what_more_of_lets_another_pod_in(asked: Amounts, free: Amounts) -> None:
    more = {**free, **{name: free.get(name, Decimal(0)) + asked[name] for name in scarce(asked, free)}}
    assert room(asked, more) > room(asked, free)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sampled_from(["Running", "Failed", "Pending"]))))
def test_what_is_free_and_what_pods_hold_is_what_a_node_offers(pods: list[tuple[str, int, str]]) -> None:
    found = nodes_of([node("a"), node("b")], [pod(where, phase, cpu=cpus) for where, cpus, phase in pods])
    for one in found:
        held = [cpus for where, cpus, phase in pods if where == one.name and phase != "Failed"]
        assert one.free["cpu"] == one.offers["cpu"] - sum(held)
        assert one.free["pods"] == one.offers["pods"] - len(held)


def test_a_pod_without_a_node_holds_nothing_and_every_pod_takes_a_place() -> None:
    assert nodes_of([node()], [pod("", "Pending", cpu=3)])[0].free["cpu"] == 8
    assert asked_of_node({"containers": [{}]}) == {"pods": 1}


def test_domains_are_the_nodes_with_one_value_of_a_label() -> None:
    places = [(Node(name, {"zone": name[0]}, (), {}, {}), 2) for name in ("a1", "a2", "b1")]
    assert domains(places, "zone") == {"a": 4, "b": 2}
    assert domains(places, None) == {"": 6}


@pytest.mark.parametrize(
    ("found", "spec", "why"),
    [
        pytest.param(node(), {}, "", id="a plain node"),
        pytest.param(node(taints=[GPU_TAINT]), {}, "taint gpu=yes:NoSchedule", id="a taint"),
        pytest.param(node(unschedulable=True), {}, "cordoned", id="cordoned"),
        pytest.param(node(unschedulable=True), {"tolerations": [{"operator": "Exists"}]}, "", id="cordoned, tolerated"),
        pytest.param({**node(), "status": {}}, {}, "not ready", id="not ready"),
        pytest.param(node(labels={"a": "c"}), {"nodeSelector": {"a": "b"}}, "no label a=b", id="another label"),
        pytest.param(
            node(),
            affinity({"matchExpressions": [expression("Exists")]}),
            "outside of the required node affinity",
            id="affinity",
        ),
    ],
)
def test_a_node_says_why_it_takes_no_pod(found: dict[str, Any], spec: dict[str, Any], why: str) -> None:
    assert refusal(nodes_of([found], [])[0], spec, None) == why


def test_without_the_label_of_the_topology_a_node_takes_no_pod() -> None:
    assert refusal(nodes_of([node()], [])[0], {}, "rack") == "no label rack"
