"""What finds room: quantities, pods on nodes, labels and taints, quotas; claims of arithmetic are properties."""

from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.workers import UNITS, amount
from dltrain.capacity.nodes import Node, asked_of_node, domains, nodes_of, refusal, room, scarce
from dltrain.capacity.pods import Amounts, added, limited, requested, total, with_defaults, worker_spec
from dltrain.capacity.quotas import applies, shares, unsaid
from dltrain.capacity.selectors import is_tolerated, meets_affinity
from dltrain.quantities import quantity, quantity_text
from tests.sdk.builders import job

NAMES: Final = ("cpu", "memory", "nvidia.com/gpu")
small: Final = st.integers(0, 12).map(Decimal)
amounts: Final = st.dictionaries(st.sampled_from(NAMES), small)
resources: Final = st.fixed_dictionaries({}, optional={name: st.integers(0, 12) for name in NAMES})
containers: Final = st.lists(
    st.builds(lambda limits, requests: {"resources": {"limits": limits, "requests": requests}}, resources, resources),
    max_size=3,
)


def pod(node: str = "a", phase: str = "Running", **asked: Any) -> dict[str, Any]:
    return {"spec": {"nodeName": node, "containers": [{"resources": {"requests": asked}}]}, "status": {"phase": phase}}


def node(name: str = "a", **spec: Any) -> dict[str, Any]:
    allocatable = {"cpu": "8", "memory": "16Gi", "pods": "10"}
    status = {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "labels": spec.pop("labels", {})}, "spec": spec, "status": status}


# ------------------------------------------------------------ quantities
@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("2", "2"), (2, "2"), ("500m", "0.5"), ("250n", "2.5E-7"), ("100u", "0.0001"), ("-1", "-1"), (".5", "0.5")),
        *(
            ("16Gi", str(16 * 1024**3)),
            ("1.5k", "1500"),
            ("3Ei", str(3 * 1024**6)),
            ("1E", str(10**18)),
            ("1e3", "1000"),
        ),
        *(("many", "0"), ("", "0"), (None, "0"), ("1Zi", "0"), ("1 Gi", "0")),
    ],
)
def test_a_quantity_is_read_as_kubernetes_writes_it_and_anything_else_is_nothing(text: Any, number: str) -> None:
    assert quantity(text) == Decimal(number)


@given(st.integers(0, 10**6), st.sampled_from(["", *UNITS]))
def test_a_quantity_that_a_job_may_write_is_the_same_number_everywhere(number: int, unit: str) -> None:
    assert quantity(f"{number}{unit}") == amount(f"{number}{unit}")


@pytest.mark.parametrize(
    ("resource", "number", "text"),
    [
        ("memory", "17179869184", "16Gi"),
        ("requests.memory", "1610612736", "1.5Gi"),
        ("hugepages-2Mi", "5368709120", "5Gi"),
        ("memory", "100", "100"),
        ("cpu", "3.5", "3.5"),
        ("cpu", "100", "100"),
        ("nvidia.com/gpu", "8", "8"),
    ],
)
def test_a_quantity_is_written_for_people(resource: str, number: str, text: str) -> None:
    assert quantity_text(resource, Decimal(number)) == text


# ------------------------------------------------------------ what pods ask for
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


# ------------------------------------------------------------ pods on nodes
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


# ------------------------------------------------------------ labels and taints
GPU_TAINT: Final = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


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


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


def expression(operator: str, *values: str, key: str = "zone") -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


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


# ------------------------------------------------------------ quotas
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
