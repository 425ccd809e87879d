"""Gang scheduling: the PodGroup of a job and its members, in the form of each scheduler, and how one is chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from dltrain_operator.apply import connected
from dltrain_operator.children.gang import GangScheduler, in_gang, pod_group
from dltrain_operator.children.pod import Place, worker_pod
from dltrain_operator.gangs import NO_SHARING, Choice, first_served, gang_scheduler
from tests.apiserver import PROGRAMS, ApiServer, programs_folder
from tests.controller.builders import parsed
from tests.controller.cluster import OperatorProcess, Space, install

SCHEDULERS: list[GangScheduler] = ["kubernetes", "volcano", "scheduler-plugins"]
NAME = "cifar-0b5f5b5c"


def spec(scheduler: GangScheduler, **job: Any) -> dict[str, Any]:
    """The spec of a job's PodGroup."""
    group = pod_group(parsed(**job), scheduler)
    assert group is not None
    assert (group["metadata"]["name"], group["metadata"]["ownerReferences"][0]["name"]) == (NAME, "cifar")
    found: dict[str, Any] = group["spec"]
    return found


def member(scheduler: GangScheduler, **workers: Any) -> dict[str, Any]:
    """A worker's pod in its gang."""
    job = parsed(workers=workers)
    return in_gang(worker_pod(job, Place(0, 1, "1", 0, 0), "trainer:1"), job, scheduler)


def test_kubernetes_places_all_workers_or_none_and_preempts_them_as_one() -> None:
    scheduling = {"priorityClassName": "high", "topologyKey": "rack"}
    assert spec("kubernetes", replicas=3, scheduling=scheduling) == {
        "schedulingPolicy": {"gang": {"minCount": 3}},
        "disruptionMode": {"all": {}},
        "schedulingConstraints": {"topology": [{"key": "rack"}]},
        "priorityClassName": "high",
    }


@pytest.mark.parametrize("scheduler", ["volcano", "scheduler-plugins"])
def test_others_are_told_how_many_must_fit(scheduler: GangScheduler) -> None:
    given = spec(scheduler, replicas=3, scheduling={"priorityClassName": "high", "topologyKey": "rack"})
    assert given == {"minMember": 3, "priorityClassName": "high"}


CLAIMS = [{"name": "channel", "template": "channels"}, {"name": "switch", "claim": "switch-1"}]
REFERENCES = [
    {"name": "channel", "resourceClaimTemplateName": "channels"},
    {"name": "switch", "resourceClaimName": "switch-1"},
]


def test_a_gang_shares_claims_that_its_pods_refer_to_in_the_same_words() -> None:
    job = parsed(replicas=2, scheduling={"sharedClaims": CLAIMS})
    group = pod_group(job, "kubernetes")
    assert group is not None
    pod = worker_pod(job, Place(1, 1, "1", 0, 0), "trainer:1")
    assert group["spec"]["resourceClaims"] == pod["spec"]["resourceClaims"] == REFERENCES
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["claims"] == [{"name": "channel"}, {"name": "switch"}]


def test_claims_of_single_workers_come_from_the_template_beside_those_that_are_shared() -> None:
    gpu = {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}
    container = {"name": "worker", "resources": {"claims": [{"name": "gpu"}]}}
    template = {"spec": {"resourceClaims": [gpu], "containers": [container]}}
    job = parsed(workers={"replicas": 2, "template": template}, scheduling={"sharedClaims": CLAIMS[:1]})
    pod = worker_pod(job, Place(1, 1, "1", 0, 0), "trainer:1")
    assert pod["spec"]["resourceClaims"] == [REFERENCES[0], gpu]
    assert pod["spec"]["containers"][0]["resources"]["claims"] == [{"name": "channel"}, {"name": "gpu"}]


def test_a_pod_says_to_which_gang_it_belongs() -> None:
    assert member("kubernetes")["spec"]["schedulingGroup"] == {"podGroupName": NAME}
    assert member("scheduler-plugins")["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] == NAME
    volcano = member("volcano")
    assert volcano["metadata"]["annotations"]["scheduling.k8s.io/group-name"] == NAME
    assert volcano["spec"]["schedulerName"] == "volcano"


def test_a_template_may_name_another_scheduler_than_volcano() -> None:
    assert member("volcano", template={"spec": {"schedulerName": "mine"}})["spec"]["schedulerName"] == "mine"


@pytest.mark.parametrize("scheduler", [*SCHEDULERS, "none"])
def test_a_worker_that_is_alone_needs_no_gang(scheduler: GangScheduler) -> None:
    job = parsed(replicas=1)
    pod = worker_pod(job, Place(0, 1, "1", 0, 0), "trainer:1")
    assert (pod_group(job, scheduler), in_gang(pod, job, scheduler)) == (None, pod)


class Serving:
    """A cluster that serves some API groups."""

    def __init__(self, *groups: str) -> None:
        self._groups = groups

    async def served(self, group: str) -> frozenset[str]:
        """The resources of a group."""
        return frozenset({"podgroups"} if group in self._groups else {"workloads"})


@pytest.mark.parametrize(
    ("groups", "choice", "found"),
    [
        pytest.param((), "auto", "none", id="nobody reads groups"),
        pytest.param(("scheduling.volcano.sh/v1beta1",), "auto", "volcano", id="volcano is installed"),
        pytest.param(("scheduling.x-k8s.io/v1alpha1",), "auto", "scheduler-plugins", id="scheduler-plugins are"),
        pytest.param(
            ("scheduling.volcano.sh/v1beta1", "scheduling.k8s.io/v1beta1"), "auto", "kubernetes", id="its own first"
        ),
        pytest.param(("scheduling.k8s.io/v1beta1",), "none", "none", id="switched off"),
        pytest.param(("scheduling.k8s.io/v1beta1",), "volcano", "volcano", id="another one is wanted"),
    ],
)
def test_whose_groups_are_used(groups: tuple[str, ...], choice: Choice, found: GangScheduler) -> None:
    assert asyncio.run(gang_scheduler(Serving(*groups), choice)) == found  # type: ignore[arg-type]  # all it needs


# ------------------------------------------------------------ on a real API server with the feature gate
@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that serves PodGroups, and whose operator is installed."""
    programs = programs_folder()
    if not all((programs / name).exists() for name in PROGRAMS):
        pytest.skip(f"needs {PROGRAMS} in {programs} (`make cluster-build`)")
    options = ("--feature-gates=GenericWorkload=true", "--runtime-config=scheduling.k8s.io/v1beta1=true")
    server = ApiServer(tmp_path_factory.mktemp("gated"), programs, options)
    try:
        server.start()
        server.install_crd()
        install(server)
        yield server
    finally:
        server.stop()


@pytest.fixture
def space(gated: ApiServer) -> Iterator[Space]:
    """A namespace that an operator watches."""
    operator = OperatorProcess(gated)
    operator.start()
    try:
        yield Space(gated, gated.make_namespace())
    finally:
        operator.stop()


def test_a_claim_from_a_template_is_refused_where_the_group_could_not_share_it(space: Space) -> None:
    space.submit("a", replicas=2, scheduling={"sharedClaims": CLAIMS})
    failure = space.await_phase("Failed")["failure"]
    assert (failure["reason"], failure["message"]) == ("InvalidSpec", NO_SHARING)
    assert space.pods() == {}


def test_a_claim_that_exists_is_shared_by_pods_of_any_cluster(space: Space) -> None:
    space.submit("a", replicas=2, scheduling={"sharedClaims": CLAIMS[1:]})
    space.await_pods("a-0-1", "a-1-1")
    assert [pod["spec"]["resourceClaims"] for pod in space.pods().values()] == [REFERENCES[1:]] * 2


def test_an_operator_finds_the_gate_and_makes_groups(gated: ApiServer, space: Space) -> None:
    async def served() -> GangScheduler:
        async with connected(gated.kubeconfig, 1) as cluster:
            return await first_served(cluster)

    assert asyncio.run(served()) == "kubernetes"
    space.submit("a", replicas=2, scheduling={"topologyKey": "rack"})
    space.await_pods("a-0-1", "a-1-1")
    groups = f"/apis/scheduling.k8s.io/v1beta1/namespaces/{space.namespace}/podgroups"
    (group,) = gated.request("GET", groups)["items"]
    assert group["spec"]["schedulingPolicy"] == {"gang": {"minCount": 2}}
    assert group["spec"]["disruptionMode"] == {"all": {}}
    assert "schedulingConstraints" not in group["spec"]  # which has a gate of its own: the pods' affinity stays
    named = {"podGroupName": group["metadata"]["name"]}
    assert [pod["spec"]["schedulingGroup"] for pod in space.pods().values()] == [named, named]
    space.run("a-0-1", "a-1-1")
    space.end("a-1-1", 1)
    space.await_pods("a-1-2")
    assert space.pods()["a-1-2"]["spec"]["schedulingGroup"] == named
