"""The CustomResourceDefinition: generated, and at work on a real API server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from dltrain.api.crd import COLUMNS, custom_resource_definition, profile_resource_definition
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.client import Client
from dltrain.errors import DLTrainError, SpecError
from dltrain.watch import job_path
from tests.apiserver import ApiServer, programs_folder
from tests.sdk.builders import PIPELINE, condition, document, job
from tests.sdk.strategies import JOBS, mutants
from tests.sdk.test_broken_jobs import applied

MANIFEST = Path(__file__).parents[2] / "manifests" / "crd.yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
alike = settings(
    deadline=None, max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_the_manifest_is_what_the_models_generate() -> None:
    assert list(yaml.safe_load_all(MANIFEST.read_text())) == [
        custom_resource_definition(),
        profile_resource_definition(),
    ]


def every_schema(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema and all inside."""
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return [schema, *(each for part in inner if isinstance(part, dict) for each in every_schema(part))]


def test_every_field_of_the_spec_is_explained() -> None:
    spec = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    silent = [
        name
        for part in every_schema(spec)
        for name, field in part.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []


def test_every_list_and_text_of_the_spec_has_a_largest_size() -> None:
    spec = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    lists = [part for part in every_schema(spec) if part.get("type") == "array"]
    texts = [part for part in every_schema(spec) if part.get("type") == "string" and "enum" not in part]
    assert [part for part in lists if "maxItems" not in part] == []
    assert [part for part in texts if "maxLength" not in part] == []


def test_it_is_installed_with_a_structural_schema(api_server: ApiServer) -> None:
    found = api_server.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/dltrainjobs.dltrain.io")
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert conditions.pop("NonStructuralSchema", "False") == "False"
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


def test_its_short_name_and_category(api_server: ApiServer) -> None:
    resources = {each["name"]: each for each in api_server.request("GET", "/apis/dltrain.io/v1alpha1")["resources"]}
    assert set(resources) == {"dltrainjobs", "dltrainjobs/status", "dltrainjobs/scale", "dltrainprofiles"}
    told = resources["dltrainjobs"]
    assert (told["shortNames"], told["categories"], told["namespaced"]) == (["dltj"], ["all"], True)


@alike
@given(document=JOBS)
def test_the_api_server_takes_what_validation_here_takes(client: Client, document: dict[str, Any]) -> None:
    applied(client, document)
    parse_job(document)


@alike
@given(document=JOBS)
def test_a_model_written_as_yaml_and_taken_by_the_api_server_is_an_equal_model(
    client: Client, document: dict[str, Any]
) -> None:
    model = parse_job(document)
    there = client.submit(DLTrainJob.from_yaml(model.to_yaml()), dry_run=True)
    assert there.spec == model.spec


@alike
@given(document=mutants())
def test_the_api_server_refuses_what_validation_here_refuses(client: Client, document: dict[str, Any]) -> None:
    assert is_taken_here(document) == is_taken_there(client, document)


def is_taken_here(document: dict[str, Any]) -> bool:
    """Whether validation here finds nothing wrong."""
    try:
        parse_job(json.dumps(document))
    except SpecError:
        return False
    return True


def is_taken_there(client: Client, document: dict[str, Any]) -> bool:
    """Whether the API server would store the document."""
    try:
        applied(client, document)
    except DLTrainError:
        return False
    return True


def test_the_api_server_fills_in_the_same_defaults(client: Client) -> None:
    for spec in ({"pipeline": PIPELINE}, {"command": ["true"]}, {"pipeline": {**PIPELINE, "train": {"optimizer": {}}}}):
        assert client.submit(job(spec), dry_run=True).spec == job(spec).spec


WHOLE = {
    "workers": {"replicas": 2},
    "pipeline": PIPELINE,
    "checkpoint": {"keep": 2},
    "storage": {"claimName": "models"},
    "runPolicy": {"backoffLimit": 1},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            {"workers": {"replicas": 3}},
            "spec.workers.replicas: replicas cannot change once the job exists, unless spec.elastic is set; "
            "delete the job and submit it anew",
            id="replicas",
        ),
        pytest.param(
            {"workers": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}},
            "spec.workers.template: template cannot change once the job exists; delete the job and submit it anew",
            id="the pod template",
        ),
        pytest.param(
            {"workers": {"image": "trainer:2"}},
            "spec.workers: must not add or remove image once created; delete the job and submit it anew",
            id="the image",
        ),
        pytest.param(
            {"elastic": {"maxReplicas": 3}},
            "spec: must not add or remove elastic once created; delete the job and submit it anew",
            id="elastic",
        ),
        pytest.param(
            {"pipeline": {"train": {"epochs": 5}}},
            "spec.pipeline: pipeline cannot change once the job exists; delete the job and submit it anew",
            id="the pipeline",
        ),
        pytest.param(
            {"checkpoint": {"keep": 5}},
            "spec.checkpoint: checkpoint cannot change once the job exists; delete the job and submit it anew",
            id="checkpoints",
        ),
        pytest.param(
            {"storage": {"claimName": "other"}},
            "spec.storage: storage cannot change once the job exists; delete the job and submit it anew",
            id="the storage",
        ),
        pytest.param(
            {"storage": None},
            "spec: must not add or remove storage once created; delete the job and submit it anew",
            id="no storage any more",
        ),
        pytest.param(
            {"pipeline": None, "command": ["true"]},
            "spec: must not add or remove pipeline once created; delete the job and submit it anew\n"
            "spec: must not add or remove command once created; delete the job and submit it anew",
            id="a command instead",
        ),
    ],
)
def test_what_a_running_job_is_cannot_change(client: Client, change: dict[str, Any], said: str) -> None:
    client.submit(job(WHOLE))
    with pytest.raises(SpecError) as caught:
        client._patch("a", {"spec": change})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "change",
    [
        {"suspend": True},
        {"backoffLimit": 7},
        {"activeDeadlineSeconds": 60},
        {"ttlSecondsAfterFinished": 60},
        {"cleanPodPolicy": "All"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_run_policy_of_a_running_job_may_change(client: Client, change: dict[str, Any]) -> None:
    client.submit(job(WHOLE))
    changed = client._patch("a", {"spec": {"runPolicy": change}})
    assert changed.spec.run_policy.to_dict().items() >= change.items()


def test_an_elastic_job_is_scaled_within_its_bounds(client: Client) -> None:
    client.submit(job({**WHOLE, "elastic": {"maxReplicas": 3}}))
    assert client.scale("a", 3).spec.workers.replicas == 3
    kubectl(client, "scale", "dltj/a", "--replicas=1")
    assert client.get("a").spec.workers.replicas == 1
    with pytest.raises(SpecError) as caught:
        client.scale("a", 4)
    assert str(caught.value) == (
        "spec.workers.replicas: must be between spec.elastic.minReplicas and maxReplicas (got 4); choose such a number"
    )


def test_an_autoscaler_reads_size_and_selector(client: Client) -> None:
    client.submit(job({**WHOLE, "elastic": {"maxReplicas": 3}}))
    path = job_path(client.namespace, "a")
    workers = {"ready": 1, "selector": "dltrain.io/job-name=a"}
    client._connection.request("PATCH", f"{path}/status", body={"status": {"workers": workers}})
    scale = client._connection.request("GET", f"{path}/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": workers["selector"]})


def test_a_command_cannot_change(client: Client) -> None:
    client.submit(job({"command": ["python", "a.py"]}))
    with pytest.raises(SpecError, match=r"spec\.command: command cannot change once the job exists"):
        client._patch("a", {"spec": {"command": ["python", "b.py"]}})


def test_a_job_without_a_name_gets_one_from_its_prefix(client: Client) -> None:
    prefix = "a" * 46 + "-"
    made = client.submit(parse_job({**document(), "metadata": {"generateName": prefix}}))
    assert made.name.startswith(prefix)
    assert client.get(made.name).metadata.uid == made.metadata.uid


def test_the_status_is_written_apart_from_the_spec(client: Client) -> None:
    made = client._connection.request(
        "POST", f"{job_path(client.namespace, 'a')[:-2]}", body={**document(), "status": {"phase": "Running"}}
    )
    assert "status" not in made
    path = f"{job_path(client.namespace, 'a')}/status"
    body = {"status": {"phase": "Running"}, "spec": {"runPolicy": {"suspend": True}}}
    changed = client._connection.request("PATCH", path, body=body)
    assert (changed["status"], changed["metadata"]["generation"]) == ({"phase": "Running"}, 1)
    assert changed["spec"]["runPolicy"]["suspend"] is False


def test_a_status_says_only_what_was_written(client: Client) -> None:
    client.submit(job())
    path = f"{job_path(client.namespace, 'a')}/status"
    changed = client._connection.request("PATCH", path, body={"status": {"workers": {"ready": 1}, "progress": {}}})
    assert changed["status"] == {"workers": {"ready": 1}, "progress": {}}


def test_conditions_are_a_map_by_type(client: Client, api_server: ApiServer) -> None:
    client.submit(job())
    path = f"{job_path(client.namespace, 'a')}/status"
    twice = {"status": {"conditions": [condition("Running"), condition("Running")]}}
    with pytest.raises(SpecError, match=r"status\.conditions\[1\]"):
        client._connection.request("PATCH", path, body=twice)


def test_kubectl_get_prints_the_columns(client: Client) -> None:
    client.submit(job())
    status = {
        "phase": "Running",
        "workers": {"desired": 2, "ready": 2, "summary": "2/2"},
        "restarts": {"total": 3},
        "progress": {"stage": "train", "summary": "30%", "loss": 0.41, "eta": "2m40s"},
    }
    client._connection.request("PATCH", f"{job_path(client.namespace, 'a')}/status", body={"status": status})
    printed = kubectl(client, "get", "dltj")
    assert next(line.split() for line in printed.splitlines()) == ["NAME", *(name.upper() for name, _, _ in COLUMNS)]
    assert printed.splitlines()[1].split()[:-1] == ["a", "Running", "2/2", "train", "30%", "0.41", "2m40s", "3"]


def test_kubectl_get_all_lists_jobs(client: Client) -> None:
    client.submit(job())
    assert "dltrainjob.dltrain.io/a" in kubectl(client, "get", "all", "-o", "name")


def test_kubectl_explain_tells_what_a_field_is(client: Client) -> None:
    assert "Ranks (training processes) per pod." in kubectl(client, "explain", "dltj.spec.workers.slotsPerWorker")


def test_kubectl_wait_understands_the_conditions(client: Client) -> None:
    client.submit(job())
    status = {"status": {"conditions": [condition("Complete")]}}
    client._connection.request("PATCH", f"{job_path(client.namespace, 'a')}/status", body=status)
    assert "condition met" in kubectl(client, "wait", "--for=condition=Complete", "dltj/a", "--timeout=20s")


@pytest.fixture(autouse=True)
def kubeconfig_of_the_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubeconfig for kubectl, where a test has a server."""
    if "api_server" in request.fixturenames:
        monkeypatch.setenv("KUBECONFIG", str(request.getfixturevalue("api_server").kubeconfig))


def kubectl(client: Client, *arguments: str) -> str:
    """What the real kubectl prints."""
    program = programs_folder() / "kubectl"
    if not program.exists():
        pytest.skip(f"needs {program} (`make cluster-build`)")
    command = [str(program), *arguments, "-n", client.namespace]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
