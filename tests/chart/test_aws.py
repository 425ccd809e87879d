"""The files for EKS: checked against eksctl's schema, Karpenter's definitions, and pods as the operator makes them."""

from __future__ import annotations

import json
import subprocess
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job_file
from dltrain.api.workers import amount
from dltrain.profiles import with_profile
from dltrain_operator.children.pod import Place, worker_pod
from tests.apiserver import ApiServer, wait_for
from tests.chart.aws import AWS, EKSCTL, KARPENTER, POOLS, PROFILES, TAINT, source
from tests.chart.rendering import objects, program
from tests.chart.schemas import schema_location


def kubeconform(file: Path, schema: str) -> subprocess.CompletedProcess[str]:
    """What kubeconform says of a file."""
    command: list[str | Path] = [program("kubeconform"), "-strict", "-summary", "-schema-location", schema, file]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_cluster_is_what_eksctl_takes() -> None:
    schema = source(EKSCTL) / "pkg/apis/eksctl.io/v1alpha5/assets/schema.json"
    done = kubeconform(AWS / "cluster.yaml", str(schema))
    assert (done.returncode, "Valid: 1, Invalid: 0" in done.stdout) == (0, True), done.stdout


def test_a_mistake_in_the_cluster_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "cluster.yaml"
    wrong.write_text((AWS / "cluster.yaml").read_text().replace("efaEnabled", "efaEnable"))
    schema = source(EKSCTL) / "pkg/apis/eksctl.io/v1alpha5/assets/schema.json"
    assert "efaEnable" in kubeconform(wrong, str(schema)).stdout


@pytest.fixture(scope="module")
def karpenter(api_server: ApiServer) -> ApiServer:
    """An API server that knows Karpenter's kinds."""
    folder = source(KARPENTER) / "pkg/apis/crds"
    for file in ("karpenter.sh_nodepools", "karpenter.sh_nodeoverlays", "karpenter.k8s.aws_ec2nodeclasses"):
        definition = yaml.safe_load((folder / f"{file}.yaml").read_text())
        api_server.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)

    def served() -> bool:
        try:
            for path in PATHS.values():
                api_server.request("GET", path)
        except urllib.error.HTTPError:
            return False
        return True

    wait_for("Karpenter's kinds to be served", served)
    return api_server


PATHS = {
    "NodePool": "/apis/karpenter.sh/v1/nodepools",
    "NodeOverlay": "/apis/karpenter.sh/v1alpha1/nodeoverlays",
    "EC2NodeClass": "/apis/karpenter.k8s.aws/v1/ec2nodeclasses",
}


@pytest.mark.parametrize(
    "manifest",
    objects((AWS / "karpenter.yaml").read_text()),
    ids=lambda each: f"{each['kind']}-{each['metadata']['name']}",
)
def test_an_api_server_takes_what_is_for_karpenter(karpenter: ApiServer, manifest: dict[str, Any]) -> None:
    path = f"{PATHS[manifest['kind']]}?dryRun=All&fieldValidation=Strict"
    assert karpenter.request("POST", path, manifest)["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool["metadata"]["name"])
def test_no_node_that_trains_is_ended_by_karpenter(pool: dict[str, Any]) -> None:
    assert pool["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert pool["spec"]["template"]["spec"]["expireAfter"] == "Never"
    assert pool["spec"]["template"]["spec"]["taints"] == [TAINT]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_the_pods_of_a_profile_are_valid_and_ask_for_what_it_says(profile: Path, tmp_path: Path) -> None:
    named = parse_job_file(AWS / "job.yaml")
    job = with_profile(DLTrainJob.model_validate(retold(named, profile.stem)), profile)
    pod = worker_pod(job, Place(0, 1, "1", 0, 0), "trainer")
    (tmp_path / "pod.json").write_text(json.dumps(pod))
    done = kubeconform(tmp_path / "pod.json", schema_location().replace("{{.NormalizedKubernetesVersion}}", "v1.34.0"))
    assert done.returncode == 0, done.stdout
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    assert int(limits["nvidia.com/gpu"]) == job.spec.workers.world_size // 2
    assert pod["spec"]["nodeSelector"] == {"node.kubernetes.io/instance-type": profile.stem}
    assert pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    assert pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert ("vpc.amazonaws.com/efa" in limits) == ("hugepages-2Mi" in limits)
    (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "topology.kubernetes.io/zone", "no autoscaler knows of others before there is a node"
    (shm,) = (each["emptyDir"] for each in pod["spec"]["volumes"] if each["name"] == "shm")
    assert shm["medium"] == "Memory"
    assert amount(shm["sizeLimit"]) < amount(limits["memory"])


def retold(job: DLTrainJob, profile: str) -> dict[str, Any]:
    """A job that names another profile."""
    manifest = job.to_manifest()
    return {**manifest, "spec": {**manifest["spec"], "profile": profile}}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_an_api_server_takes_a_profile(api_server: ApiServer, profile: Path) -> None:
    path = "/apis/dltrain.io/v1alpha1/dltrainprofiles?dryRun=All&fieldValidation=Strict"
    assert api_server.request("POST", path, yaml.safe_load(profile.read_text()))["metadata"]["name"] == profile.stem


def test_storage_is_valid_for_kubernetes() -> None:
    done = kubeconform(AWS / "storage.yaml", schema_location().replace("{{.NormalizedKubernetesVersion}}", "v1.34.0"))
    assert done.returncode == 0, done.stdout
