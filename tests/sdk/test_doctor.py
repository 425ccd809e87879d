"""What the doctor says of clusters: of records, of a real API server, and of none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dltrain.api.crd import custom_resource_definition
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.api.parse_profile import parse_profile
from dltrain.doctor.examine import examine
from dltrain.doctor.finding import Finding
from dltrain.doctor.look import LISTS, OPERATORS, RIGHTS, Facts, Unknown
from dltrain.plan import profile_lines
from dltrain.resolution import resolved, settled
from tests.apiserver import ApiServer
from tests.sdk.clusters import HEALTHY, named

PROFILES: Final = sorted((Path(__file__).parents[2] / "manifests" / "aws" / "profiles").glob("*.yaml"))
FORBIDDEN: Final = Unknown("nodes is forbidden")


def node(name: str = "a", kind: str = "", *, ready: bool = True, **offers: str) -> dict[str, Any]:
    """A node; `offers` names resources with _ for / and __ for a dot."""
    allocatable = {key.replace("__", ".").replace("_", "/"): value for key, value in offers.items()}
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], "allocatable": allocatable}
    return named(name, status=status, labels={"node.kubernetes.io/instance-type": kind})


GPUS: Final[dict[str, Any]] = {"nvidia__com_gpu": "8"}


def changed(**lists: Any) -> Facts:
    """A healthy cluster with other lists."""
    return replace(HEALTHY, lists={**HEALTHY.lists, **lists})


def found(facts: Facts, job: DLTrainJob | None = None, level: str | None = None) -> list[str]:
    """What is not well, as `level check: message`."""
    wanted = [one for one in examine(facts, job) if one.level == level or (level is None and one.level != "ok")]
    return [f"{one.level} {one.check}: {one.message}" for one in wanted]


def test_a_healthy_cluster_has_nothing_to_complain_of() -> None:
    assert found(HEALTHY) == []
    assert {one.check for one in examine(HEALTHY)} >= {
        "API server",
        "DLTrainJob",
        "operator",
        "your rights",
        "GPUs",
        "EFA",
    }


def without(field: str) -> dict[str, Any]:
    """The contract of an older dltrain."""
    older = json.loads(json.dumps(custom_resource_definition()))
    del older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][field]
    return older


def vpc_cni(switch: str) -> dict[str, Any]:
    """EKS's network plugin, as its add-on runs it."""
    containers = [{"name": "aws-node"}, {"name": "aws-eks-nodeagent", "args": ["--enable-ipv6=false", switch]}]
    return named("aws-node", spec={"template": {"spec": {"containers": containers}}})


CASES: Final = [
    pytest.param(
        replace(HEALTHY, version={"gitVersion": "v1.29.1"}),
        ["fail API server: Kubernetes v1.29.1, and dltrain needs 1.31"],
        id="an old cluster",
    ),
    pytest.param(
        replace(HEALTHY, definition=None), ["fail DLTrainJob: the cluster does not know DLTrainJobs"], id="no contract"
    ),
    pytest.param(
        replace(HEALTHY, definition=without("backend")),
        ["warn DLTrainJob: the cluster has an older contract, without spec.backend"],
        id="an older contract",
    ),
    pytest.param(changed(operators=[]), ["fail operator: there is none"], id="no operator"),
    pytest.param(
        changed(operators=[named("op", spec={"replicas": 2}, status={})]),
        ["fail operator: system/op: none of 2 replicas is ready"],
        id="an operator that is not ready",
    ),
    pytest.param(
        replace(HEALTHY, rights={right: right.verb != "create" for right in RIGHTS}),
        [
            "fail your rights: you may not create dltrainjobs.dltrain.io (for dltrain submit)",
            "warn your rights: you may not create pods, create pods/exec (for copying artefacts from a volume claim)",
        ],
        id="a reader",
    ),
    pytest.param(replace(HEALTHY, space=None), ["fail namespace: ml does not exist"], id="no namespace"),
    pytest.param(
        replace(HEALTHY, space=named("ml")), ["warn namespace: ml enforces Pod Security nowhere"], id="a lax namespace"
    ),
    pytest.param(
        changed(nodes=[node("p5", "p5.48xlarge")]),
        [
            "fail GPUs: p5: has GPUs and offers no nvidia.com/gpu",
            "warn EFA: p5: offers no vpc.amazonaws.com/efa, so NCCL uses TCP",
        ],
        id="no device plugins",
    ),
    pytest.param(
        changed(nodes=[node("p5", "p5.48xlarge", **GPUS, vpc__amazonaws__com_efa="32")]),
        ["warn EFA: p5: no huge pages, which EFA takes"],
        id="no huge pages",
    ),
    pytest.param(
        changed(nodes=[node("cpu", "m7i.large"), node("gone", ready=False)]),
        [
            "warn nodes: 1 of 2 take pods, not gone",
            "warn GPUs: no node has any, and the device plugin is there",
        ],
        id="a cluster of CPUs with a dead node",
    ),
    pytest.param(
        changed(nodes=FORBIDDEN), ["warn nodes: cannot be read: nodes is forbidden"], id="nodes that may not be read"
    ),
    pytest.param(
        changed(storageClasses=[named("gp3", provisioner="ebs.csi.aws.com")]),
        ["warn storage: no class or claim that is known to serve several nodes; no default class"],
        id="disks only",
    ),
    pytest.param(
        changed(
            policies=[named("deny", spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})],
            daemonSets=[named("kube-flannel")],
        ),
        [
            "warn network: NetworkPolicy deny lets no pod of the namespace out",
            "warn network: flannel does not enforce the jobs' NetworkPolicies",
        ],
        id="a closed namespace on a network that enforces nothing",
    ),
    pytest.param(changed(daemonSets=[vpc_cni("--enable-network-policy=true")]), [], id="the VPC CNI with policies"),
    pytest.param(
        changed(daemonSets=[vpc_cni("--enable-network-policy=false")]),
        ["warn network: no plugin is known here that enforces the jobs' NetworkPolicies"],
        id="the VPC CNI without",
    ),
    pytest.param(
        changed(quotas=[named("team", status={"hard": {"pods": "8", "cpu": "9"}, "used": {"pods": "8", "cpu": "1"}})]),
        ["warn quota: team has nothing left of pods"],
        id="a full quota",
    ),
    pytest.param(Facts("ml", Unknown("refused")), ["fail API server: refused"], id="no cluster"),
]


@pytest.mark.parametrize(("facts", "said"), CASES)
def test_what_is_wrong_is_said(facts: Facts, said: list[str]) -> None:
    assert found(facts) == said


@pytest.mark.parametrize(("facts", "said"), CASES)
def test_what_is_not_well_has_a_remedy_and_what_is_well_has_none(facts: Facts, said: list[str]) -> None:
    assert [one for one in examine(facts) if (one.level == "ok") == bool(one.remedy)] == []


def gpu_job(limits: dict[str, Any], environment: dict[str, str], **spec: Any) -> DLTrainJob:
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    template = {"spec": {"containers": [{"name": "worker", "env": variables}]}}
    workers = {"replicas": 2, "resources": {"limits": limits}, "template": template}
    return parse_job({"metadata": {"name": "a"}, "spec": {"command": ["x"], "workers": workers, **spec}})


JOBS: Final = [
    pytest.param(
        gpu_job({"nvidia.com/gpu": 16}, {}),
        ["warn job: a pod asks for 16 nvidia.com/gpu, and no node has more than 8"],
        id="more GPUs than a node has",
    ),
    pytest.param(
        gpu_job({"nvidia.com/gpu": 8}, {"FI_PROVIDER": "efa"}),
        ["fail NCCL: FI_PROVIDER=efa, and the pods ask for no vpc.amazonaws.com/efa"],
        id="EFA in the environment only",
    ),
    pytest.param(
        gpu_job({"nvidia.com/gpu": 8, "vpc.amazonaws.com/efa": 32}, {}),
        [
            "warn NCCL: 32 vpc.amazonaws.com/efa and no FI_PROVIDER=efa",
            "warn NCCL: EFA takes huge pages, and the pods ask for no hugepages-2Mi",
        ],
        id="EFA in the resources only",
    ),
    pytest.param(
        gpu_job(
            {"nvidia.com/gpu": 8, "vpc.amazonaws.com/efa": 32}, {"FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0"}
        ),
        [],
        id="EFA that is told to take no huge pages",
    ),
    pytest.param(
        gpu_job({"cpu": 1}, {"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "lo"}),
        [
            "warn NCCL: NCCL_DEBUG, NCCL_SOCKET_IFNAME: without effect, for the job asks for no GPU",
            "fail NCCL: NCCL_SOCKET_IFNAME=lo: pods cannot meet there",
        ],
        id="settings of NCCL without GPUs",
    ),
    pytest.param(
        gpu_job({"cpu": 1}, {}, storage={"claimName": "models"}),
        ["fail claim: there is no claim models in ml"],
        id="no claim",
    ),
]


@pytest.mark.parametrize(("job", "said"), JOBS)
def test_what_a_job_lacks_is_said(job: DLTrainJob, said: list[str]) -> None:
    assert found(HEALTHY, job) == said


def test_the_account_of_a_job_must_be_there() -> None:
    workers = {"template": {"spec": {"serviceAccountName": "trainer"}}}
    job = parse_job({"metadata": {"name": "a"}, "spec": {"command": ["x"], "workers": workers}})
    assert found(HEALTHY, job) == []
    said = "there is no ServiceAccount trainer in ml, and pods that run as it cannot be made"
    assert found(changed(accounts=[named("default")]), job) == [f"fail account: {said}"]


def test_a_claim_of_one_node_is_not_for_two_workers() -> None:
    job = gpu_job({"cpu": 1}, {}, storage={"claimName": "models"})
    facts = changed(claims=[named("models", spec={"accessModes": ["ReadWriteOnce"]})])
    assert found(facts, job) == ["warn claim: claim models is ReadWriteOnce: pods on several nodes cannot share it"]


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_the_profiles_agree_with_themselves(file: Path) -> None:
    facts = changed(profiles=[yaml.safe_load(file.read_text())])
    said = examine(facts, on_profile(file.stem))
    assert [one.message for one in said if one.check == "profile"] == [f"{file.stem} is laid under the job"]
    assert [one for one in said if one.check == "NCCL" and one.level != "ok"] == []


def on_profile(name: str) -> DLTrainJob:
    return parse_job(
        {
            "apiVersion": "dltrain.io/v1alpha1",
            "kind": "DLTrainJob",
            "metadata": {"name": "a"},
            "spec": {"command": ["x"], "profile": name},
        }
    )


@pytest.mark.parametrize(
    "template",
    [{"spec": None}, {"spec": {"containers": None}}, {"spec": {"containers": [{"name": "worker", "env": None}]}}],
)
def test_what_a_template_removes_with_null_is_not_looked_into(template: dict[str, Any]) -> None:
    spec = {"command": ["x"], "profile": "p", "workers": {"template": template}}
    profile = parse_profile({"metadata": {"name": "p"}, "spec": {"image": "reg/a"}})
    job = resolved(settled(parse_job({"metadata": {"name": "a"}, "spec": spec}), profile))
    assert found(HEALTHY, job, "fail") == ['fail profile: spec.profile: must name a DLTrainProfile (got "p")']
    assert profile_lines(job) == [("Profile", "p"), ("Image", "reg/a"), ("Placed on", "any node")]


def test_a_profile_that_is_not_there_is_named() -> None:
    said = found(HEALTHY, on_profile("p6"), "fail")
    assert said == ['fail profile: spec.profile: must name a DLTrainProfile (got "p6")']


def test_every_list_can_be_missing() -> None:
    nothing = replace(
        HEALTHY, lists=dict.fromkeys([*LISTS, OPERATORS], FORBIDDEN), definition=FORBIDDEN, space=FORBIDDEN
    )
    assert {one.split(":")[0] for one in found(nothing)} == {
        "warn DLTrainJob",
        "warn operator",
        "warn namespace",
        "warn nodes",
        "warn storage",
        "warn network",
    }


def test_a_real_api_server_is_read(api_server: ApiServer, either: Any) -> None:
    said: dict[str, list[Finding]] = {}
    for one in either.doctor():
        said.setdefault(one.check, []).append(one)
    assert [one.level for one in said["API server"] + said["DLTrainJob"] + said["your rights"]] == ["ok", "ok", "ok"]
    assert [one.message for one in said["operator"]] == ["there is none"]
    assert [one.message for one in said["nodes"]] == ["none of 0 takes pods"]


def test_the_command_prints_findings_for_people_and_for_scripts(dltrain_on_cluster: Any) -> None:
    text = dltrain_on_cluster("doctor")
    assert text.code == 1
    assert "fail  operator     there is none\n" in text.out
    assert text.out.splitlines()[-1].endswith(" failed")
    found = json.loads(dltrain_on_cluster("doctor", "-o", "json").out)
    assert {"check": "operator", "level": "fail", "message": "there is none"}.items() <= found[2].items()


def test_a_cluster_that_cannot_be_reached_is_a_finding(dltrain: Any, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "current-context": "a",
                "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "a", "user": {}}],
                "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            }
        )
    )
    done = dltrain("doctor", "--kubeconfig", str(config))
    assert done.code == 1
    assert done.out.startswith("fail  API server  ")
