"""The manifests: what they give the operator, and what they keep from it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from dltrain_operator.settings import FLAGS
from tests.apiserver import ApiServer, programs_folder
from tests.controller.cluster import MANIFESTS, SYSTEM, Space


def manifest(kind: str) -> dict[str, Any]:
    """The one object of a kind in operator.yaml."""
    documents = yaml.safe_load_all((MANIFESTS / "operator.yaml").read_text())
    found: list[dict[str, Any]] = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1
    return found[0]


def allowed(server: ApiServer, verb: str, group: str, resource: str, **attributes: str) -> bool:
    """Whether the operator's service account may do something."""
    plural, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "namespace": "ml", **attributes}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{SYSTEM}:dltrain-operator",
            "resourceAttributes": {**attributes, "subresource": subresource},
        },
    }
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("verb", "group", "resource"),
    [
        pytest.param("get", "", "secrets", id="read secrets"),
        pytest.param("list", "", "secrets", id="list secrets"),
        pytest.param("delete", "", "secrets", id="delete secrets"),
        pytest.param("create", "", "pods/exec", id="enter pods"),
        pytest.param("get", "", "pods/log", id="read logs"),
        pytest.param("patch", "", "pods", id="change pods"),
        pytest.param("patch", "dltrain.io", "dltrainjobs", id="change jobs"),
        pytest.param("delete", "", "configmaps", id="delete config maps"),
        pytest.param("list", "", "namespaces", id="list namespaces"),
        pytest.param("list", "apiextensions.k8s.io", "customresourcedefinitions", id="list definitions"),
    ],
)
def test_what_the_operator_may_not_do(installed: ApiServer, verb: str, group: str, resource: str) -> None:
    assert not allowed(installed, verb, group, resource)


def test_the_operator_may_read_one_secret_of_its_own_namespace(installed: ApiServer) -> None:
    def may_get(namespace: str, name: str) -> bool:
        return allowed(installed, "get", "", "secrets", namespace=namespace, name=name)

    assert may_get(SYSTEM, "dltrain-operator-master-key")
    assert not may_get(SYSTEM, "another")
    assert not may_get("ml", "dltrain-operator-master-key")


def label_restricted(server: ApiServer, namespace: str) -> None:
    """Let a namespace take pods only that satisfy Pod Security "restricted"."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.request("PATCH", f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})


def test_worker_pods_satisfy_pod_security_restricted(space: Space) -> None:
    label_restricted(space.server, space.namespace)
    space.submit()
    space.await_pods("a-0-1", "a-1-1")


def test_the_operators_own_pod_satisfies_pod_security_restricted(installed: ApiServer) -> None:
    template = manifest("Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "operator"}}
    installed.request("POST", f"/api/v1/namespaces/{SYSTEM}/pods", pod)
    installed.request("DELETE", f"/api/v1/namespaces/{SYSTEM}/pods/operator")


def test_every_variable_of_the_deployment_is_one_that_the_operator_reads() -> None:
    container = manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert {entry["name"] for entry in container["env"]} <= {variable for _, variable, _, _ in FLAGS}


def test_the_kustomization_builds_and_takes_another_image(tmp_path: Any) -> None:
    kubectl = programs_folder() / "kubectl"
    if not kubectl.exists():
        pytest.skip(f"needs kubectl in {programs_folder()} (`make cluster-build`, or set DLTRAIN_CLUSTER_BIN)")
    base = tmp_path / "base"
    base.mkdir()
    for name in ("crd.yaml", "operator.yaml", "kustomization.yaml"):
        (base / name).write_text((MANIFESTS / name).read_text())
    overlay = {"resources": ["base"], "images": [{"name": "dltrain/operator", "newName": "mine", "newTag": "7"}]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = subprocess.run([kubectl, "kustomize", tmp_path], check=True, capture_output=True, text=True).stdout
    objects = {document["kind"]: document for document in yaml.safe_load_all(built)}
    assert objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] == "mine:7"
    assert {"CustomResourceDefinition", "ClusterRole", "Namespace"} <= objects.keys()
