"""Whether a job fits a cluster, told from records of what is there."""

from dataclasses import replace
from typing import Final

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.capacity.planning import plan_of
from dltrain.doctor.finding import ok
from dltrain.doctor.look import Facts
from tests.sdk.builders import job
from tests.sdk.clusters import FORBIDDEN, GPU, QUOTA, cluster, gpu_job, named, node, pod, profile, said

SHORT: Final = "warn nodes: a pod asks for 8 nvidia.com/gpu:"
LOW: Final = {"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}
CASES: Final = [
    pytest.param(gpu_job(), cluster(), ["ok nodes: all 2 pods fit: 1 on n1, 1 on n2"], id="room"),
    pytest.param(gpu_job(1), cluster(), ["ok nodes: the pod fits: 1 on n1, 1 on n2"], id="one pod"),
    pytest.param(
        gpu_job(),
        cluster(pods=[pod("n1", 2)]),
        [
            "fail nodes: room for 1 of 2 pods: 1 on n2",
            f"{SHORT} n1 has 6 of 8 free, n2 has 8 of 8 free",
        ],
        id="others' pods",
    ),
    pytest.param(
        gpu_job(1, 16),
        cluster(),
        [
            "fail nodes: room for 0 of 1 pod",
            "warn nodes: a pod asks for 16 nvidia.com/gpu: n1 has 8 of 8 free, n2 has 8 of 8 free",
        ],
        id="a pod larger than any node",
    ),
    pytest.param(
        gpu_job(),
        cluster(nodes=[node("n1"), node("n2", unschedulable=True), node("n3", zone="b")]),
        ["ok nodes: all 2 pods fit: 1 on n1, 1 on n3"],
        id="a cordoned node that is not needed",
    ),
    pytest.param(
        gpu_job(scheduling={"topologyKey": "zone"}),
        cluster(nodes=[node("n1"), node("n2", zone="b")]),
        [
            "fail nodes: room for 1 of 2 pods in one zone: a has room for 1, b has room for 1",
            f"{SHORT} n1 has 8 of 8 free, n2 has 8 of 8 free",
        ],
        id="no zone for all",
    ),
    pytest.param(
        gpu_job(scheduling={"topologyKey": "zone"}),
        cluster(nodes=[node("n1"), node("n2"), node("n3", zone="b")]),
        [
            "ok nodes: all 2 pods fit in one zone: a has room for 2, b has room for 1",
            "warn topology: b has not room for all, and the first pod may be placed there",
        ],
        id="a zone too small beside one that is not",
    ),
    pytest.param(
        gpu_job(scheduling={"topologyKey": "rack"}),
        cluster(),
        ["fail nodes: room for 0 of 2 pods: no node with rack takes it", "warn nodes: no label rack: n1, n2"],
        id="a topology that nobody has",
    ),
    pytest.param(
        gpu_job(3, elastic={"minReplicas": 1, "maxReplicas": 4}),
        cluster(),
        [
            "warn nodes: room for 2 of 3 pods: 1 on n1, 1 on n2; it is elastic and starts with 1",
            f"{SHORT} n1 has 8 of 8 free, n2 has 8 of 8 free",
        ],
        id="elastic",
    ),
    pytest.param(
        gpu_job(2, 1, workers={"template": {"spec": {"topologySpreadConstraints": [{}], "nodeName": "n1"}}}),
        cluster(),
        [
            "ok nodes: all 2 pods fit: 8 on n1, 8 on n2",
            "warn nodes: not looked at: topologySpreadConstraints, nodeName of the pod template",
        ],
        id="a template with more to it",
    ),
    pytest.param(
        gpu_job(),
        cluster(quotas=[QUOTA]),
        [
            "ok nodes: all 2 pods fit: 1 on n1, 1 on n2",
            "fail quota: team: 8 of 16 requests.nvidia.com/gpu are left, and the job takes 16",
        ],
        id="a quota too small",
    ),
    pytest.param(
        gpu_job(1),
        cluster(quotas=[QUOTA]),
        ["ok nodes: the pod fits: 1 on n1, 1 on n2", "ok quota: team leaves enough"],
        id="a quota large enough",
    ),
    pytest.param(
        gpu_job(),
        cluster(quotas=[named("team", spec={"hard": {"requests.memory": "1Gi"}})]),
        [
            "ok nodes: all 2 pods fit: 1 on n1, 1 on n2",
            "fail quota: team takes only pods whose every container says requests.memory",
        ],
        id="a quota of what the job does not say",
    ),
    pytest.param(
        gpu_job(),
        cluster(
            quotas=[named("team", spec={"hard": {"requests.memory": "2Gi"}})],
            limitRanges=[{"spec": {"limits": [{"type": "Container", "defaultRequest": {"memory": "1Gi"}}]}}],
        ),
        ["ok nodes: all 2 pods fit: 1 on n1, 1 on n2", "ok quota: team leaves enough"],
        id="a LimitRange that says it",
    ),
    pytest.param(
        gpu_job(scheduling={"priorityClassName": "high"}),
        cluster(),
        ["ok nodes: all 2 pods fit: 1 on n1, 1 on n2", "fail priority: there is no PriorityClass high"],
        id="no such priority",
    ),
    pytest.param(
        gpu_job(scheduling={"priorityClassName": "high"}, storage={"claimName": "models"}),
        cluster(priorityClasses=[named("high")], claims=[named("models", spec={"accessModes": ["ReadWriteMany"]})]),
        [
            "ok nodes: all 2 pods fit: 1 on n1, 1 on n2",
            "ok priority: PriorityClass high is there",
            "ok claim: claim models is there",
        ],
        id="all that it names is there",
    ),
    pytest.param(
        gpu_job(workers={"template": {"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "images"}}]}}}),
        cluster(),
        ["ok nodes: all 2 pods fit: 1 on n1, 1 on n2", "fail claim: there is no claim images in ml"],
        id="no claim of the template's",
    ),
    pytest.param(
        gpu_job(1, runPolicy={"suspend": True}),
        cluster(pods=[pod("n1", 8, "ml", **{"dltrain.io/job-name": "a"})]),
        [
            "ok nodes: the pod fits: 1 on n2",
            "warn job: a job of this name has pods, which count as others' here",
            "warn job: runPolicy.suspend is true: it gets no pods",
        ],
        id="suspended, beside its own pods",
    ),
    pytest.param(
        gpu_job(),
        cluster(nodes=FORBIDDEN, quotas=FORBIDDEN, priorityClasses=FORBIDDEN, profiles=FORBIDDEN),
        [
            "warn profile: a default one may be laid under the job: it is forbidden",
            "warn nodes: cannot be read: it is forbidden",
            "warn quota: cannot be read: it is forbidden",
        ],
        id="what may not be read",
    ),
    pytest.param(
        gpu_job(),
        cluster(
            quotas=[
                named("low", spec={"hard": {"pods": 0}, "scopeSelector": {"matchExpressions": [LOW]}}),
                named("high", spec={"hard": {"pods": 1}, "scopes": ["PriorityClass"]}),
            ],
            priorityClasses=[named("normal", globalDefault=True)],
        ),
        [
            "ok nodes: all 2 pods fit: 1 on n1, 1 on n2",
            "fail quota: high: 1 of 1 pods are left, and the job takes 2",
        ],
        id="quotas of priorities, of which the default one counts",
    ),
    pytest.param(
        gpu_job(1),
        cluster(pods=[pod("n1", 0, **{"dltrain.io/job-name": "a"})]),
        ["ok nodes: the pod fits: 1 on n1, 1 on n2"],
        id="a job of this name in another namespace",
    ),
    pytest.param(
        gpu_job(),
        cluster(pods=FORBIDDEN),
        [
            "warn nodes: counted as empty, for pods cannot be read: it is forbidden",
            "ok nodes: all 2 pods fit: 1 on n1, 1 on n2",
        ],
        id="pods that may not be read",
    ),
    pytest.param(
        gpu_job(profile="p6"),
        cluster(),
        ['fail profile: spec.profile: must name a DLTrainProfile (got "p6")'],
        id="no such profile: what it would ask for is not known",
    ),
    pytest.param(
        gpu_job(1),
        replace(cluster(operators=[]), space=None),
        [
            "fail operator: there is none",
            "fail namespace: ml does not exist",
            "ok nodes: the pod fits: 1 on n1, 1 on n2",
        ],
        id="no operator and no namespace",
    ),
]


@pytest.mark.parametrize(("wanted", "facts", "expected"), CASES)
def test_what_a_cluster_has_for_a_job_is_said(wanted: DLTrainJob, facts: Facts, expected: list[str]) -> None:
    found = plan_of(wanted, facts)
    assert said(found.findings) == expected
    assert found.fits is not any(each.startswith("fail") for each in expected)


@pytest.mark.parametrize(("wanted", "facts", "expected"), CASES)
def test_what_is_not_well_has_a_remedy(wanted: DLTrainJob, facts: Facts, expected: list[str]) -> None:
    assert [one for one in plan_of(wanted, facts).findings if (one.level == "ok") == bool(one.remedy)] == []


WAIT: Final = "wait until other jobs end, or let an administrator raise it"
REMEDIES: Final = [
    pytest.param(gpu_job(), cluster(pods=[pod("n1", 8)]), "nodes", "wait until pods there end", id="full nodes"),
    pytest.param(
        gpu_job(1, 16),
        cluster(),
        "nodes",
        "no node is that large: ask for less, or add larger ones",
        id="small nodes",
    ),
    pytest.param(gpu_job(2), cluster(quotas=[QUOTA]), "quota", WAIT, id="a full quota"),
    pytest.param(
        gpu_job(3),
        cluster(quotas=[QUOTA]),
        "quota",
        "ask for less, or let an administrator raise it",
        id="a small quota",
    ),
]


@pytest.mark.parametrize(("wanted", "facts", "check", "remedy"), REMEDIES)
def test_one_waits_only_for_what_can_come(wanted: DLTrainJob, facts: Facts, check: str, remedy: str) -> None:
    assert [each.remedy for each in plan_of(wanted, facts).findings if each.check == check][-1] == remedy


def test_pods_on_the_nodes_network_take_a_node_each() -> None:
    allowed = profile("open", allow={"podSecurity": "privileged"}, template={"spec": {"hostNetwork": True}})
    found = plan_of(gpu_job(2, 1, profile="open"), cluster(nodes=[node("n1")], profiles=[allowed]))
    assert "fail nodes: room for 1 of 2 pods: 1 on n1" in said(found.findings)


def test_the_default_profile_of_the_namespace_is_laid_under_the_job() -> None:
    large = profile("large", default=True, resources={"limits": {GPU: 16}}, nodeSelector={"zone": "a"})
    found = plan_of(job(), cluster(profiles=[large]))
    assert found.job.spec.workers.resources.limits == {GPU: 16}
    assert (found.fits, found.verdict, found.findings[0]) == (
        False,
        "no: nodes",
        ok("profile", "large is laid under the job"),
    )


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        pytest.param(cluster(), "yes", id="yes"),
        pytest.param(cluster(nodes=FORBIDDEN), "yes, as far as is known: nodes cannot be read", id="perhaps"),
        pytest.param(cluster(nodes=[], pods=FORBIDDEN, operators=[]), "no: operator, nodes", id="no"),
    ],
)
def test_the_verdict_names_what_blocks_the_job_and_what_is_not_known(facts: Facts, verdict: str) -> None:
    assert plan_of(gpu_job(), facts).verdict == verdict
