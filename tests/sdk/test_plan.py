"""Whether a job fits a cluster now: of records, through both clients, and as the command says it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dltrain.api.job import DLTrainJob
from dltrain.capacity.planning import plan_of
from dltrain.doctor.finding import Finding, ok
from dltrain.doctor.look import Facts, Unknown
from dltrain.errors import ClusterError
from dltrain.names import API_VERSION
from tests.sdk.builders import EXAMPLES, job
from tests.sdk.command_line import CommandLine
from tests.sdk.fake_api import FakeApi, Reply, failure
from tests.sdk.test_doctor import HEALTHY, named

GPU: Final = "nvidia.com/gpu"
FORBIDDEN: Final = Unknown("it is forbidden")


def node(name: str, gpus: int = 8, zone: str = "a", **spec: Any) -> dict[str, Any]:
    """A node of GPUs."""
    allocatable = {"cpu": "64", "memory": "512Gi", GPU: str(gpus), "pods": "110"}
    status = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": allocatable}
    return named(name, labels={"zone": zone}, spec=spec, status=status)


def pod(where: str, gpus: int, namespace: str = "others", **labels: str) -> dict[str, Any]:
    """A running pod."""
    spec = {"nodeName": where, "containers": [{"resources": {"requests": {GPU: gpus}}}]}
    metadata = {"name": "p", "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def gpu_job(pods: int = 2, gpus: int = 8, **spec: Any) -> DLTrainJob:
    """A job of some pods of some GPUs."""
    workers = {"replicas": pods, "resources": {"limits": {GPU: gpus}}, **spec.pop("workers", {})}
    return job({"command": ["x"], "workers": workers, **spec})


def cluster(**lists: Any) -> Facts:
    """A healthy cluster of two nodes of eight GPUs, with other lists."""
    return replace(HEALTHY, lists={**HEALTHY.lists, "nodes": [node("n1"), node("n2")], **lists})


def said(findings: Any) -> list[str]:
    """Findings as `level check: message`."""
    return [f"{each.level} {each.check}: {each.message}" for each in findings]


SHORT: Final = "warn nodes: a pod asks for 8 nvidia.com/gpu:"
QUOTA: Final = named("team", spec={}, status={"hard": {f"requests.{GPU}": "16"}, "used": {f"requests.{GPU}": "8"}})
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


def profile(name: str, **spec: Any) -> dict[str, Any]:
    """A profile as the API server has it."""
    return {"apiVersion": API_VERSION, "kind": "DLTrainProfile", "metadata": {"name": name}, "spec": spec}


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


# ------------------------------------------------------------ asking a cluster
LISTS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "/api/v1/nodes": [node("n1"), node("n2")],
    "/api/v1/pods": [pod("n1", 8)],
    "/api/v1/namespaces/ml/resourcequotas": [QUOTA],
    "/api/v1/namespaces/ml/persistentvolumeclaims": [],
    "/api/v1/namespaces/ml/limitranges": [],
    "/apis/scheduling.k8s.io/v1/priorityclasses": [],
    "/apis/dltrain.io/v1alpha1/dltrainprofiles": [],
}
QUEUES: Final = "/apis/kueue.x-k8s.io/v1beta2/namespaces/ml/localqueues"


@pytest.fixture
def small(fake_api: FakeApi) -> FakeApi:
    """An API server of a cluster of two nodes, one of which is full."""
    fake_api.routes["GET /version"] = lambda _: Reply({"gitVersion": "v1.37.2"})
    fake_api.routes["GET /apis"] = lambda _: Reply({"groups": [{"name": "apps"}]})
    fake_api.routes["GET /api/v1/namespaces/ml"] = lambda _: Reply(named("ml"))
    for path, items in LISTS.items():
        serve(fake_api, path, items)
    return fake_api


def serve(api: FakeApi, path: str, items: list[dict[str, Any]]) -> None:
    """Answer with a list."""
    api.routes[f"GET {path}"] = lambda _: Reply({"metadata": {"resourceVersion": "1"}, "items": items})


def with_kueue(api: FakeApi, *queues: dict[str, Any]) -> None:
    """Serve Kueue's LocalQueues, in a version of its own choice."""
    version = {"groupVersion": "kueue.x-k8s.io/v1beta2", "version": "v1beta2"}
    groups = [{"name": "apps"}, {"name": "kueue.x-k8s.io", "preferredVersion": version}]
    api.routes["GET /apis"] = lambda _: Reply({"groups": groups})
    serve(api, QUEUES, list(queues))


def test_both_clients_plan_with_typed_findings(either_fake: Any, small: FakeApi) -> None:
    found = either_fake.plan(gpu_job())
    assert (found.fits, found.job.namespace) == (False, "ml")
    assert (
        Finding(
            "nodes",
            "fail",
            "room for 1 of 2 pods: 1 on n2",
            "wait for room, ask for less, or add nodes; an autoscaler adds them when the job waits",
        )
        in found.findings
    )
    assert found.verdict == "no: nodes, quota"
    assert ("GET /api/v1/pods", {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed", "limit": "500"}) in (
        small.asked
    )
    assert not [where for where, _ in small.asked if where.split()[0] != "GET" and "selfsubject" not in where]


def test_the_jobs_own_namespace_counts(fake_client: Any, small: FakeApi) -> None:
    found = fake_client.plan(job({"command": ["x"]}, namespace="research"))
    assert found.job.namespace == "research"
    assert "GET /api/v1/namespaces/research/resourcequotas" in [where for where, _ in small.asked]


def test_a_cluster_out_of_reach_is_an_error(either_fake: Any, fake_api: FakeApi) -> None:
    fake_api.routes["GET /version"] = lambda _: failure(403, "no entry")
    with pytest.raises(ClusterError, match="no entry"):
        either_fake.plan(gpu_job())


def local_queue(name: str, active: bool = True, message: str = "") -> dict[str, Any]:
    """A LocalQueue of Kueue."""
    condition = {"type": "Active", "status": str(active), "message": message}
    return named(name, spec={"clusterQueue": "gpus"}, status={"conditions": [condition], "pendingWorkloads": 3})


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        pytest.param(None, "warn queue: there is no Kueue: queueName research is without effect", id="no Kueue"),
        pytest.param(
            [local_queue("research")],
            "ok queue: Kueue decides when the job starts: LocalQueue research of gpus, 3 waiting",
            id="a queue",
        ),
        pytest.param(
            [local_queue("other")],
            "fail queue: there is no LocalQueue research in ml: Kueue holds the job for ever",
            id="another queue",
        ),
        pytest.param(
            [local_queue("research", active=False, message="gpus is stopped")],
            "fail queue: LocalQueue research admits nothing: gpus is stopped",
            id="a stopped queue",
        ),
    ],
)
def test_where_a_job_has_a_queue_kueue_decides(
    fake_client: Any, small: FakeApi, queues: list[dict[str, Any]] | None, expected: str
) -> None:
    if queues is not None:
        with_kueue(small, *queues)
    found = fake_client.plan(gpu_job(1, scheduling={"queueName": "research"}))
    assert said(found.findings)[-1] == expected


def test_queues_that_may_not_be_read_are_told(fake_client: Any, small: FakeApi) -> None:
    with_kueue(small)
    small.routes[f"GET {QUEUES}"] = lambda _: failure(500, "broken")
    found = fake_client.plan(gpu_job(1, scheduling={"queueName": "research"}))
    assert found.findings[-1].level == "warn"
    assert "its LocalQueues cannot be read" in found.findings[-1].message


def test_a_job_without_a_queue_does_not_ask_for_kueue(fake_client: Any, small: FakeApi) -> None:
    fake_client.plan(gpu_job())
    assert "GET /apis" not in [where for where, _ in small.asked]


def test_a_real_api_server_is_asked(either: Any) -> None:
    found = either.plan(gpu_job(scheduling={"queueName": "research"}))
    assert (found.verdict, found.unread) == ("no: operator, nodes", [])
    assert "warn queue: there is no Kueue: queueName research is without effect" in said(found.findings)
    assert "fail nodes: room for 0 of 2 pods" in said(found.findings)


# ------------------------------------------------------------ the command
@pytest.fixture
def on_small(
    small: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line, for the small cluster."""
    return CommandLine(monkeypatch, capsys, "--kubeconfig", str(small.kubeconfig(tmp_path)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a job of two pods of eight GPUs."""
    path = tmp_path / "job.yaml"
    path.write_text(gpu_job().to_yaml())
    return path


def test_the_command_says_what_blocks_a_job(on_small: CommandLine, file: Path) -> None:
    done = on_small("plan", str(file), "--cluster")
    table, findings = done.out.split("\n\n")
    assert (done.code, done.err) == (1, "")
    assert table.splitlines()[-1] == "Fits now:   no: nodes, quota"
    assert findings.splitlines()[:2] == [
        "fail  nodes  room for 1 of 2 pods: 1 on n2",
        "             wait for room, ask for less, or add nodes; an autoscaler adds them when the job waits",
    ]


def test_the_command_succeeds_where_a_job_fits(on_small: CommandLine, file: Path) -> None:
    done = on_small("plan", str(file), "--cluster", "--set", "spec.workers.replicas=1")
    assert (done.code, done.err) == (0, "")
    assert "Fits now:   yes\n" in done.out


def test_a_profile_from_a_file_stands_before_those_of_the_cluster(
    on_small: CommandLine, small: FakeApi, file: Path, tmp_path: Path
) -> None:
    serve(small, "/apis/dltrain.io/v1alpha1/dltrainprofiles", [profile("theirs", default=True, image="theirs:1")])
    ours = tmp_path / "profile.yaml"
    ours.write_text(yaml.safe_dump(profile("ours", image="ours:1")))
    assert "Profile:    theirs\nImage:      theirs:1\n" in on_small("plan", str(file), "--cluster").out
    done = on_small("plan", str(file), "--cluster", "--profile", str(ours))
    assert "Profile:    ours\nImage:      ours:1\n" in done.out


def test_a_cluster_that_does_not_answer_has_the_exit_code_of_clusters(
    on_small: CommandLine, small: FakeApi, file: Path
) -> None:
    small.routes["GET /version"] = lambda _: failure(403, "no entry")
    done = on_small("plan", str(file), "--cluster")
    assert (done.code, done.out) == (3, "")
    assert "no entry" in done.err


def test_without_the_option_no_cluster_is_asked(
    on_small: CommandLine, small: FakeApi, dltrain: Any, file: Path
) -> None:
    done = dltrain("plan", str(file))
    assert (done.code, "Fits now" in done.out, small.asked) == (0, False, [])
    refused = on_small("plan", str(file))
    assert (refused.code, small.asked) == (2, [])
    assert "--kubeconfig: is for --cluster; add that" in refused.err


def kinds(text: str) -> list[str]:
    """The kinds and names of objects in YAML."""
    return [f"{each['kind']}/{each['metadata']['name']}" for each in yaml.safe_load_all(text)]


def test_the_objects_of_a_job_are_printed_as_yaml(dltrain: CommandLine, file: Path) -> None:
    done = dltrain("plan", str(file), "--objects", "-n", "research")
    assert (done.code, done.err) == (0, "")
    assert kinds(done.out) == [
        "ConfigMap/a",
        "Service/a",
        "NetworkPolicy/a",
        "Secret/a-identity-00000000",
        "Pod/a-0-1",
        "Pod/a-1-1",
    ]
    assert {each["metadata"]["namespace"] for each in yaml.safe_load_all(done.out)} == {"research"}


def test_objects_have_the_profile_of_the_cluster_and_findings_stand_aside(
    on_small: CommandLine, small: FakeApi, file: Path
) -> None:
    serve(small, "/apis/dltrain.io/v1alpha1/dltrainprofiles", [profile("theirs", default=True, image="theirs:1")])
    done = on_small("plan", str(file), "--cluster", "--objects")
    assert done.code == 1
    pods = [each for each in yaml.safe_load_all(done.out) if each["kind"] == "Pod"]
    assert [each["spec"]["containers"][0]["image"] for each in pods] == ["theirs:1", "theirs:1"]
    assert done.err.startswith("fail  nodes  room for 1 of 2 pods")


def test_without_the_operator_objects_are_refused_with_what_to_do(
    dltrain: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dltrain_operator" else found(name))
    done = dltrain("plan", str(EXAMPLES[0]), "--objects")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "dltrain: dltrain plan --objects needs dltrain_operator, which this Python does not have; `make install` in a "
        "checkout of dltrain installs all of it\n"
    )
