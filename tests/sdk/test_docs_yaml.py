"""Every YAML block of the pages is what it says: a job, a part of one, a profile, an object that a cluster takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dltrain import names
from dltrain.api.parse import parse_job
from dltrain.api.parse_profile import parse_profile
from dltrain.errors import SpecError
from dltrain.overlay import overlay
from tests.apiserver import ApiServer
from tests.sdk.builders import PIPELINE, document
from tests.sdk.test_docs import PAGES, ROOT, blocks, everywhere

PATHS: Final = {
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
}
"""Kinds of Kubernetes' own, and where they are made."""
ELSEWHERE: Final = {"MPIJob": "test_site", "Kustomization": "test_the_overlay_patches_what_the_manifests_have"}
"""Kinds that other tests look at."""


def test_every_job_in_the_pages_is_valid() -> None:
    documents = [
        (page, each)
        for page, block in everywhere(lambda text: blocks(text, "yaml"))
        for each in yaml.safe_load_all(block)
    ]
    jobs = [each for _, each in documents if isinstance(each, dict) and each.get("kind") == names.KIND]
    for job in jobs:
        parse_job(job)
    assert jobs


def fragments(text: str) -> Iterator[tuple[str, Any]]:
    """(path, value) of the parts of jobs: blocks that begin with a comment like `# spec.pipeline.data`."""
    for block in blocks(text, "yaml"):
        if found := re.match(r"# (spec(?:\.\w+)*)\n", block):
            for value in yaml.safe_load_all(block):
                yield found[1], value


def with_fragment(path: str, value: Any) -> dict[str, Any]:
    """A job with a part of it as a page has it."""
    for step in reversed(path.split(".")):
        value = {step: value}
    return overlay(document({"pipeline": PIPELINE}), value)


def test_every_part_of_a_job_in_the_pages_is_valid() -> None:
    parts = [(page, *fragment) for page in PAGES for fragment in fragments(page.read_text())]
    for page, path, value in parts:
        try:
            parse_job(with_fragment(path, value))
        except SpecError as error:
            error.add_note(f"in {page}")
            raise
    assert len(parts) > 15


def whole() -> list[tuple[str, dict[str, Any]]]:
    """(page, object) of the blocks that are no parts of jobs."""
    found = everywhere(lambda text: [block for block in blocks(text, "yaml") if not block.startswith("# spec")])
    return [(page, each) for page, block in found for each in yaml.safe_load_all(block)]


def test_every_block_is_of_a_kind_that_is_looked_at() -> None:
    known = {names.KIND, names.PROFILE_KIND, *PATHS, *ELSEWHERE}
    assert [(page, each.get("kind")) for page, each in whole() if each.get("kind") not in known] == []


def test_every_profile_in_the_pages_is_valid() -> None:
    profiles = [each for _, each in whole() if each["kind"] == names.PROFILE_KIND]
    for each in profiles:
        parse_profile(each)
    assert profiles


def test_every_object_of_kubernetes_is_taken_by_an_api_server(api_server: ApiServer, namespace: str) -> None:
    made = [each for _, each in whole() if each["kind"] in PATHS]
    for each in made:
        metadata = {**each["metadata"], **({"namespace": namespace} if "namespace" in each["metadata"] else {})}
        path = PATHS[each["kind"]].format(namespace=namespace)
        api_server.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", {**each, "metadata": metadata})
    assert {"Role", "HorizontalPodAutoscaler"} <= {each["kind"] for each in made}


def test_the_overlay_patches_what_the_manifests_have() -> None:
    manifests = [each for each in yaml.safe_load_all((ROOT / "manifests" / "operator.yaml").read_text()) if each]
    deployed = next(each for each in manifests if each["kind"] == "Deployment")
    (overlaid,) = [each for _, each in whole() if each["kind"] == "Kustomization"]
    patch = yaml.safe_load(overlaid["patches"][0]["patch"])
    assert (patch["kind"], patch["metadata"]) == (
        "Deployment",
        {key: deployed["metadata"][key] for key in ("name", "namespace")},
    )
    (container,) = deployed["spec"]["template"]["spec"]["containers"]
    (patched,) = patch["spec"]["template"]["spec"]["containers"]
    assert patched["name"] == container["name"]
    assert {each["name"] for each in patched["env"]} <= {each["name"] for each in container["env"]}
    assert container["image"].startswith(f"{overlaid['images'][0]['name']}:")


def test_the_model_of_the_page_is_one() -> None:
    torch = pytest.importorskip("torch")
    page = (ROOT / "docs" / "own-model.md").read_text()
    space: dict[str, Any] = {}
    exec(blocks(page, "python")[0], space)
    options = yaml.safe_load(blocks(page, "yaml")[0])["spec"]["pipeline"]["model"]["options"]
    model = space["build"]((1, 8, 8), 10, **options)
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_the_data_of_the_page_is_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    exec(blocks((ROOT / "docs" / "own-data.md").read_text(), "python")[0], {})
    stored = numpy.load("mine.npz")
    assert {name: stored[name].shape for name in stored} == {"x": (500, 8), "y": (500,)}
