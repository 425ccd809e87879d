"""The chart's objects: those of the manifests, for every version of Kubernetes, and as the values say."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.api.parse import parse_job
from tests.chart.rendering import CHART, ROOT, SYSTEM, Manifest, hooks, key, named, objects, one, program, render
from tests.chart.schemas import VERSIONS, schema_location
from tests.chart.snapshots import CASES, EVERYTHING, FOLDER, rendered
from tests.cluster.images import VERSION

MORE = ["ClusterRole/dltrain-edit", "ClusterRole/dltrain-view", f"NetworkPolicy/{SYSTEM}/dltrain-operator"]
"""What the chart installs beyond the manifests, by default."""


def manifests() -> dict[str, Manifest]:
    """What `kubectl apply -k manifests/` installs, but the namespace, which helm makes itself."""
    files = yaml.safe_load((ROOT / "manifests/kustomization.yaml").read_text())["resources"]
    found = named([each for file in files for each in objects((ROOT / "manifests" / file).read_text())])
    return {name: each for name, each in found.items() if each["kind"] != "Namespace"}


def without_metadata(manifest: Manifest) -> Manifest:
    """An object but for its labels and annotations."""
    return {**manifest, "metadata": key(manifest)}


def installed(**values: Any) -> list[Manifest]:
    """The objects of an installation."""
    return [each for each in objects(render(values)) if not hooks(each)]


def test_the_chart_installs_what_the_manifests_do_and_little_more() -> None:
    chart, plain = named(installed()), manifests()
    assert {name: without_metadata(chart[name]) for name in plain} == {
        name: without_metadata(each) for name, each in plain.items()
    }
    assert sorted(chart.keys() - plain.keys() - {"PodDisruptionBudget/dltrain-system/dltrain-operator"}) == MORE


def test_the_web_page_of_the_chart_is_that_of_the_manifests() -> None:
    chart = named(installed(webPage={"enabled": True}))
    plain = named(objects((ROOT / "manifests/web-page.yaml").read_text()))
    assert {name: without_metadata(chart[name]) for name in plain} == {
        name: without_metadata(each) for name, each in plain.items()
    }
    assert chart.keys() - named(installed()).keys() == {*plain, f"NetworkPolicy/{SYSTEM}/dltrain-web-page"}


def test_a_web_page_of_one_namespace_has_no_right_elsewhere() -> None:
    without = named(installed())
    found = {
        name: each
        for name, each in named(installed(webPage={"enabled": True, "namespace": "ml"})).items()
        if name not in without
    }
    assert sorted(found) == [
        f"Deployment/{SYSTEM}/dltrain-web-page",
        f"NetworkPolicy/{SYSTEM}/dltrain-web-page",
        "Role/ml/dltrain-web-page",
        "RoleBinding/ml/dltrain-web-page",
        f"ServiceAccount/{SYSTEM}/dltrain-web-page",
    ]
    container = found[f"Deployment/{SYSTEM}/dltrain-web-page"]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][3:] == ["ui", "--bind", "127.0.0.1", "--namespace", "ml"]


def test_the_chart_keeps_every_label_of_the_manifests() -> None:
    chart = named(installed())
    for name, each in manifests().items():
        assert each["metadata"].get("labels", {}).items() <= chart[name]["metadata"]["labels"].items()


def test_chart_images_and_project_have_one_version() -> None:
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (told["version"], told["appVersion"]) == (VERSION, VERSION)


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_is_what_was_kept(case: str) -> None:
    """After a change that is meant: `python -m tests.chart.snapshots`."""
    assert rendered(case) == (FOLDER / f"{case}.yaml").read_text()


def test_every_kept_text_is_of_a_case() -> None:
    assert sorted(file.stem for file in FOLDER.glob("*")) == sorted(CASES)


def test_helm_lint_finds_nothing() -> None:
    done = subprocess.run([program("helm"), "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert (done.returncode, "0 chart(s) failed" in done.stdout) == (0, True), done.stdout
    assert "[WARNING]" not in done.stdout


FILES = sorted(path.name for path in CHART.glob("values-*.yaml"))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_for_kubernetes(version: str) -> None:
    texts = [render(), render({**EVERYTHING, "webPage": {"enabled": True}, "crds": {"install": False}})]
    texts += [render({"crds": {"install": False}}, file) for file in FILES]
    command: list[str | Path] = [program("kubeconform"), "-strict", "-summary", "-kubernetes-version", version]
    done = subprocess.run(
        [*command, "-schema-location", schema_location()],
        input="\n---\n".join(texts),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


def test_all_that_is_installed_has_the_common_labels_and_annotations() -> None:
    for each in objects(render(EVERYTHING)):
        assert each["metadata"]["labels"]["team"] == "platform", key(each)
    own = [each for each in objects(render(EVERYTHING)) if each["metadata"]["name"] != "mine"]
    assert [key(each) for each in own if each["metadata"]["annotations"].get("owner") != "platform"] == []
    pod = one(objects(render(EVERYTHING)), "Deployment")["spec"]["template"]["metadata"]
    assert pod == {
        "labels": {
            "app.kubernetes.io/name": "dltrain",
            "app.kubernetes.io/component": "operator",
            "sidecar": "no",
            "team": "platform",
        },
        "annotations": {"note": "x", "owner": "platform"},
    }


def test_an_operator_of_some_namespaces_may_elsewhere_read_profiles_only() -> None:
    found = named(installed(operator={"namespaces": ["ml", "research"]}, rbac={"userRoles": False}))
    assert sorted(name for name in found if "Role" in name) == [
        "ClusterRole/dltrain-operator-dltrain-system",
        "ClusterRoleBinding/dltrain-operator-dltrain-system",
        "Role/dltrain-system/dltrain-operator",
        "Role/ml/dltrain-operator-jobs",
        "Role/research/dltrain-operator-jobs",
        "RoleBinding/dltrain-system/dltrain-operator",
        "RoleBinding/ml/dltrain-operator-jobs",
        "RoleBinding/research/dltrain-operator-jobs",
    ]
    everywhere = named(installed())["ClusterRole/dltrain-operator"]
    beyond = found["ClusterRole/dltrain-operator-dltrain-system"]["rules"]
    assert [rule["resources"] for rule in beyond] == [["dltrainprofiles"]]
    assert [*found["Role/ml/dltrain-operator-jobs"]["rules"], *beyond] == everywhere["rules"]


def test_two_releases_of_different_namespaces_share_no_object() -> None:
    def release(namespace: str, **values: Any) -> dict[str, Manifest]:
        return named(objects(render({**values, "webPage": {"enabled": True}}, namespace=namespace)))

    first = release("team-a-system", operator={"namespaces": ["team-a"]})
    other = {"crds": {"install": False}, "rbac": {"userRoles": False}}
    second = release("team-b-system", operator={"namespaces": ["team-b"]}, **other)
    assert sorted(first.keys() & second.keys()) == []
    assert sorted(name for name in second if name.startswith("Cluster")) == [
        "ClusterRole/dltrain-operator-team-b-system",
        "ClusterRole/dltrain-web-page-team-b-system",
        "ClusterRoleBinding/dltrain-operator-team-b-system",
        "ClusterRoleBinding/dltrain-web-page-team-b-system",
    ]
    for kind in ("operator", "web-page"):
        binding = second[f"ClusterRoleBinding/dltrain-{kind}-team-b-system"]
        assert binding["roleRef"]["name"] == f"dltrain-{kind}-team-b-system"
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": f"dltrain-{kind}", "namespace": "team-b-system"}
        ]
    assert sorted(first.keys() & release("dltrain-system").keys()) == [
        "ClusterRole/dltrain-edit",
        "ClusterRole/dltrain-view",
        "CustomResourceDefinition/dltrainjobs.dltrain.io",
        "CustomResourceDefinition/dltrainprofiles.dltrain.io",
    ]


def test_drains_are_not_held_up_by_operators_that_are_not_ready() -> None:
    selector = {"app.kubernetes.io/name": "dltrain", "app.kubernetes.io/component": "operator"}
    assert one(installed(), "PodDisruptionBudget")["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector},
    }


def pod_labels(manifest: Manifest) -> dict[str, str]:
    """The labels of a Pod, or of a Deployment's."""
    labels: dict[str, str] = manifest["spec"].get("template", manifest)["metadata"]["labels"]
    return labels


@pytest.mark.parametrize("ranges", [[], ["10.0.0.0/28"]], ids=["any address", "some addresses"])
@pytest.mark.parametrize(("kind", "name"), [("Deployment", "dltrain-web-page"), ("Pod", "dltrain-test")])
def test_web_page_and_test_reach_names_and_the_kubernetes_api_as_the_operator_does(
    kind: str, name: str, ranges: list[str]
) -> None:
    found = named(objects(render({"webPage": {"enabled": True}, "networkPolicy": {"apiServer": ranges}})))
    dns, server, _ = found[f"NetworkPolicy/{SYSTEM}/dltrain-operator"]["spec"]["egress"]
    spec = found[f"NetworkPolicy/{SYSTEM}/{name}"]["spec"]
    selector = spec["podSelector"]
    assert spec == {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "egress": [dns, server]}
    pods = {label: pod_labels(each) for label, each in found.items() if each["kind"] in {"Deployment", "Pod"}}
    chosen = [label for label, labels in pods.items() if selector["matchLabels"].items() <= labels.items()]
    assert chosen == [f"{kind}/{SYSTEM}/{name}"]


def test_without_network_policies_there_is_none_of_anybody() -> None:
    found = objects(render({"webPage": {"enabled": True}, "networkPolicy": {"enabled": False}}))
    assert [key(each) for each in found if each["kind"] == "NetworkPolicy"] == []


def environment(**values: Any) -> dict[str, str]:
    """The operator's variables that are plain values."""
    container = one(installed(**values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def test_what_the_operator_is_told() -> None:
    assert environment(**EVERYTHING) == {
        "DLTRAIN_TRAINER_IMAGE": f"registry.example.com/mirror/dltrain/trainer:{VERSION}",
        "DLTRAIN_HEALTH_PORT": "9090",
        "DLTRAIN_LOG_FORMAT": "text",
        "DLTRAIN_LOG_LEVEL": "DEBUG",
        "DLTRAIN_NAMESPACES": "ml,research",
        "DLTRAIN_WORKERS": "4",
        "DLTRAIN_REQUESTS": "8",
    }


@pytest.mark.parametrize(
    ("image", "name"),
    [
        pytest.param({}, f"dltrain/operator:{VERSION}", id="as it comes"),
        pytest.param({"tag": "7"}, "dltrain/operator:7", id="another tag"),
        pytest.param({"registry": "r.example.com:5000"}, f"r.example.com:5000/dltrain/operator:{VERSION}", id="a port"),
        pytest.param({"digest": f"sha256:{'a' * 64}", "tag": "7"}, f"dltrain/operator@sha256:{'a' * 64}", id="digest"),
    ],
)
def test_the_name_of_an_image(image: dict[str, str], name: str) -> None:
    pod = one(installed(image=image), "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == name


def test_definitions_are_kept_when_the_release_goes_unless_that_is_asked_for() -> None:
    policy = "helm.sh/resource-policy"

    def policies(**values: Any) -> list[str | None]:
        definitions = [each for each in installed(**values) if each["kind"] == "CustomResourceDefinition"]
        return [each["metadata"].get("annotations", {}).get(policy) for each in definitions]

    assert policies() == ["keep", "keep"]
    assert policies(crds={"keep": False}) == [None, None]
    assert policies(crds={"install": False}) == []


def test_without_a_registry_to_reach_no_image_comes_from_elsewhere() -> None:
    text = render({"global": {"imageRegistry": "mirror.example.com"}})
    pods = [each["spec"]["template"]["spec"] for each in objects(text) if each["kind"] == "Deployment"]
    pods += [each["spec"] for each in objects(text) if each["kind"] == "Pod"]
    images = [container["image"] for pod in pods for container in pod["containers"]]
    assert len(images) == 2
    assert [image for image in images if not image.startswith("mirror.example.com/")] == []


def test_the_job_of_helm_test_is_a_valid_one() -> None:
    config = named(objects(render(EVERYTHING)))[f"ConfigMap/{SYSTEM}/dltrain-test"]
    job = parse_job(yaml.safe_load(config["data"]["job.yaml"]))
    assert (job.namespace, job.spec.workers.replicas, job.spec.workers.world_size) == ("ml", 2, 2)


@pytest.mark.parametrize(
    ("values", "template"),
    [
        pytest.param({}, {}, id="nothing to pull with"),
        pytest.param(
            {"imagePullSecrets": ["pull"]}, {"spec": {"imagePullSecrets": [{"name": "pull"}]}}, id="the release's"
        ),
        pytest.param(
            {
                "imagePullSecrets": ["pull"],
                "test": {"jobTemplate": {"spec": {"nodeSelector": {"a": "b"}, "imagePullSecrets": [{"name": "own"}]}}},
            },
            {"spec": {"nodeSelector": {"a": "b"}, "imagePullSecrets": [{"name": "own"}, {"name": "pull"}]}},
            id="beside the template's",
        ),
        pytest.param(
            {"imagePullSecrets": ["pull"], "test": {"namespace": "ml"}}, {}, id="another namespace has other Secrets"
        ),
    ],
)
def test_the_workers_of_helm_test_pull_with_the_secrets_of_the_release(
    values: dict[str, Any], template: dict[str, Any]
) -> None:
    config = named(objects(render(values)))[f"ConfigMap/{SYSTEM}/dltrain-test"]
    assert parse_job(yaml.safe_load(config["data"]["job.yaml"])).spec.workers.template == template
