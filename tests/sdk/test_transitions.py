"""Edits of jobs that exist, valid, invalid and rolled back: the way to a spec makes no difference."""

from __future__ import annotations

import json
import os
import urllib.error
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.errors import SpecError
from dltrain.watch import job_path, jobs_path
from dltrain_operator.children.config_map import job_config_map
from dltrain_operator.children.network_policy import worker_network_policy
from dltrain_operator.children.pod import Place, worker_pod
from tests.apiserver import ApiServer
from tests.sdk.schema_strategies import edits
from tests.sdk.strategies import JOBS

SEQUENCES = int(os.environ.get("TRANSITIONS", "30"))
"""`make transitions` tries 1,000."""
MAY_CHANGE = ("spec.runPolicy.", "spec.workers.replicas")
"""What of a job that exists may change; replicas only of an elastic one."""
NEVER = "spec.runPolicy.managedBy"


def create(server: ApiServer, namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Make a job."""
    head = {"apiVersion": "dltrain.io/v1alpha1", "kind": "DLTrainJob", "metadata": {"name": name}}
    made: dict[str, Any] = server.request("POST", jobs_path(namespace), {**head, "spec": spec})
    return made


def put(server: ApiServer, job: dict[str, Any], spec: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Replace the spec of a job; whether the API server took it, and the job as it is then."""
    path = job_path(job["metadata"]["namespace"], job["metadata"]["name"])
    try:
        return True, server.request("PUT", f"{path}?fieldValidation=Strict", {**job, "spec": spec})
    except urllib.error.HTTPError as error:
        if error.code not in {400, 422}:  # something else than the job is wrong
            raise
        return False, server.request("GET", path)


def leaves(value: Any, path: str = "spec") -> Iterator[tuple[str, str]]:
    """(path, value) of everything in a spec."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from leaves(part, f"{path}.{name}")
    else:
        yield path, json.dumps(value, sort_keys=True)


def parsed(spec: Mapping[str, Any]) -> DLTrainJob | None:
    """A job of a spec; None for an invalid one."""
    try:
        return parse_job(json.dumps({"apiVersion": "dltrain.io/v1alpha1", "kind": "DLTrainJob", **named(spec)}))
    except SpecError:
        return None


def named(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The rest of a job with a spec; always of the same name."""
    return {"metadata": {"name": "a", "namespace": "ml", "uid": "0123456789"}, "spec": spec}


def may_become(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a stored spec may become another one, by what the documentation says."""
    before, after = parsed(old), parsed(new)
    if after is None:
        return False
    assert before is not None
    changed = {path for path, _ in set(leaves(before.spec.to_dict())) ^ set(leaves(after.spec.to_dict()))}
    allowed = all(path.startswith(MAY_CHANGE) and path != NEVER for path in changed)
    return allowed and ("spec.workers.replicas" not in changed or after.spec.elastic is not None)


def outcome(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the operator makes of a spec."""
    job = parsed(spec)
    assert job is not None
    return job_config_map(job), worker_network_policy(job, "dltrain-system"), worker_pod(job, PLACE, "trainer:1")


PLACE = Place(0, 1, "1", 0, 0)


@settings(
    deadline=None,
    max_examples=SEQUENCES,
    derandomize=SEQUENCES < 100,
    suppress_health_check=list(HealthCheck),
)
@given(first=JOBS, data=st.data())
def test_the_way_to_a_spec_makes_no_difference(
    api_server: ApiServer, namespace: str, first: dict[str, Any], data: st.DataObject
) -> None:
    slow, direct = (create(api_server, namespace, name, first["spec"]) for name in ("slow", "direct"))
    try:
        for _ in range(2):
            old = slow
            wanted = data.draw(st.one_of(edits(old["spec"]), edits(old["spec"]), st.just(direct["spec"])))
            taken, slow = put(api_server, slow, wanted)
            assert taken == may_become(old["spec"], wanted)
            assert taken or slow == old
        taken, direct = put(api_server, direct, slow["spec"])
        assert taken
        assert direct["spec"] == slow["spec"]
        assert outcome(direct["spec"]) == outcome(slow["spec"])
    finally:
        for name in ("slow", "direct"):
            api_server.request("DELETE", job_path(namespace, name))
