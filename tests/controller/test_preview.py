"""What `dltrain plan --objects` prints is what the operator makes of a job when it first sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from dltrain.api.parse import parse_job
from dltrain_operator.plan import make_plan
from dltrain_operator.preview import IDENTITY_NOTE, NO_UID, objects, preview
from dltrain_operator.site import DEFAULT_IMAGE, DEFAULT_NAMESPACE, Site
from tests.controller.builders import NOW, UID, job, job_object, observed, parsed

SITE = Site(image=DEFAULT_IMAGE, namespace=DEFAULT_NAMESPACE, key_version="1")
JOBS = [
    pytest.param({}, id="a command"),
    pytest.param({"scheduling": {"topologyKey": "rack", "queueName": "research"}}, id="placed and queued"),
    pytest.param({"storage": {"uri": "s3://models/a", "s3": {"secretName": "keys"}}}, id="a bucket"),
    pytest.param({"workers": {"template": {"spec": {"tolerations": [{"operator": "Exists"}]}}}}, id="a template"),
]


@pytest.mark.parametrize("spec", JOBS)
def test_the_objects_are_those_of_the_operators_plan(spec: dict[str, Any]) -> None:
    made = make_plan(replace(observed(job(replicas=3, **spec)), children={}), NOW, SITE)
    found = [each for each in objects(parsed(replicas=3, **spec)) if each["kind"] != "Secret"]
    assert found == [*made.children, *(pod.manifest for pod in made.pods)]


def test_the_secret_has_its_name_and_no_content() -> None:
    (secret,) = [each for each in objects(parsed()) if each["kind"] == "Secret"]
    assert (secret["metadata"]["name"], secret.keys() & {"data", "stringData"}) == (f"cifar-identity-{UID[:8]}", set())
    mounted = objects(parsed())[-1]["spec"]["volumes"][1]
    assert mounted["secret"]["secretName"] == secret["metadata"]["name"]
    assert preview(parsed()).count(IDENTITY_NOTE) == 1


def test_the_yaml_holds_the_same_objects_without_anchors_and_with_the_job_as_lines() -> None:
    text = preview(parsed())
    assert list(yaml.safe_load_all(text)) == objects(parsed())
    assert "&id" not in text
    assert '  job.json: |-\n    {\n     "apiVersion"' in text


def test_what_only_the_api_server_gives_is_made_up() -> None:
    document = job_object()
    document["metadata"] = {"generateName": "night-"}
    found = objects(parse_job(document))
    assert {each["metadata"]["namespace"] for each in found} == {"default"}
    assert [each["metadata"]["name"] for each in found][-1] == "night-xxxxx-1-1"
    assert found[0]["metadata"]["ownerReferences"][0]["uid"] == NO_UID
