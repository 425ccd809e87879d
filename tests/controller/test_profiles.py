"""Profiles in the operator: chosen once, kept in the status, whatever becomes of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dltrain import names
from dltrain.api.status import JobStatus
from dltrain_operator.cache import Cache
from dltrain_operator.observed import Observed
from dltrain_operator.plan import make_plan
from dltrain_operator.profile_record import ProfileRecord, profile_record
from dltrain_operator.records import job_record
from tests.apiserver import PROFILES, ApiServer, wait_for
from tests.controller.builders import KEY, NOW, SITE, job, job_object, pod, with_status
from tests.controller.cluster import OperatorProcess, Space

LIMIT = {"field": "spec.workers.replicas", "maximum": 4}


def record(name: str = "gpu", version: int = 1, **spec: Any) -> ProfileRecord:
    """The record of a profile."""
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), "generation": version}
    return profile_record({"metadata": metadata, "spec": spec})


def first_look(*profiles: ProfileRecord, **changes: Any) -> JobStatus:
    """The status after the operator has seen a job for the first time."""
    status = make_plan(Observed(job=job(**changes), profiles=profiles), NOW, SITE).status
    assert status is not None
    return status


def reasons(status: JobStatus) -> dict[str, tuple[str, str]]:
    """Condition -> its value and reason."""
    return {condition.type: (condition.status, condition.reason) for condition in status.conditions}


def test_a_job_waits_for_its_profile_and_holds_no_pods() -> None:
    plan = make_plan(Observed(job=job(profile="gpu")), NOW, SITE)
    assert plan.status is not None
    assert reasons(plan.status) == {
        "Accepted": ("False", "WaitingForProfile"),
        "Running": ("False", "WaitingForProfile"),
    }
    assert (plan.status.phase, plan.status.start_time, plan.pods, plan.children) == ("Pending", None, (), ())


def test_a_job_that_waits_gets_the_profile_once_it_is_there() -> None:
    waiting = with_status(job(profile="gpu"), first_look(profile="gpu"))
    plan = make_plan(Observed(job=waiting, profiles=(record(image="site:1"),)), NOW, SITE)
    assert plan.status is not None
    assert plan.status.is_true("Accepted")
    assert [new.manifest["spec"]["containers"][0]["image"] for new in plan.pods] == ["site:1", "site:1"]


def test_a_job_waits_for_a_profile_that_is_broken() -> None:
    broken = record(limits=[{"field": "spec.workers.replica", "required": True}], default=True)
    said = first_look(broken).condition("Accepted")
    assert said is not None
    assert said.reason == "WaitingForProfile"
    assert "correct the DLTrainProfile: spec.limits[0].field: must be a field of a job" in said.message


def test_a_broken_profile_that_nobody_asked_for_does_no_harm() -> None:
    broken = record(limits=[{"field": "spec.workers.replica", "required": True}])
    assert first_look(broken).is_true("Accepted")


def test_a_job_that_breaks_a_limit_fails_with_the_text_of_validate() -> None:
    status = first_look(record(default=True, limits=[LIMIT]), replicas=5)
    assert reasons(status) == {
        "Accepted": ("False", "InvalidSpec"),
        "Running": ("False", "InvalidSpec"),
        "Failed": ("True", "InvalidSpec"),
    }
    assert status.failure is not None
    assert status.failure.message == (
        "spec.workers.replicas: must be at most 4 by DLTrainProfile gpu (got 5); set 4 or less"
    )


def test_a_template_that_lifts_pod_security_fails_the_job() -> None:
    status = first_look(workers={"template": {"spec": {"hostIPC": True}}})
    assert status.failure is not None
    assert status.failure.message.startswith("spec.workers.template.spec.hostIPC: must not be true under Pod Security")


@pytest.mark.parametrize(
    "later",
    [
        pytest.param((record(version=2, image="other:2"),), id="edited"),
        pytest.param((), id="deleted"),
        pytest.param((record(version=2, limits=[{**LIMIT, "maximum": 1}]),), id="forbids it now"),
        pytest.param((record("new", 9, default=True, image="other:2"),), id="another default"),
    ],
)
def test_a_running_job_keeps_the_profile_that_it_got(later: tuple[ProfileRecord, ...]) -> None:
    given = record(default=True, image="site:1", environment={"A": "b"})
    stored = with_status(job(), first_look(given))
    before = make_plan(Observed(job=stored, pods=(pod(0),), profiles=(given,)), NOW, SITE)
    after = make_plan(Observed(job=stored, pods=(pod(0),), profiles=later), NOW, SITE)
    assert before == after
    assert [new.manifest["spec"]["containers"][0]["image"] for new in after.pods] == ["site:1"]


def test_a_job_that_was_accepted_without_a_profile_never_gets_one_and_is_not_checked_anew() -> None:
    template = {"spec": {"hostNetwork": True}}
    status = with_status(job(), first_look()).load()["status"]
    old = job_record(job_object(workers={"template": template}) | {"status": status})
    plan = make_plan(Observed(job=old, profiles=(record(default=True, image="site:1"),)), NOW, SITE)
    assert [new.manifest["spec"]["containers"][0]["image"] for new in plan.pods] == ["trainer:1", "trainer:1"]
    assert plan.pods[0].manifest["spec"]["hostNetwork"] is True


def test_the_config_map_holds_the_outcome() -> None:
    given = record(default=True, resources={"limits": {"nvidia.com/gpu": 8}}, storage={"claimName": "models"})
    plan = make_plan(Observed(job=job(), profiles=(given,)), NOW, SITE)
    (config_map,) = (child for child in plan.children if child["kind"] == "ConfigMap")
    spec = json.loads(config_map["data"]["job.json"])["spec"]
    assert (spec["storage"], spec["workers"]["resources"]["limits"]) == (
        {"claimName": "models"},
        {"nvidia.com/gpu": 8},
    )


def test_jobs_of_one_profile_share_its_text() -> None:
    first, second = (
        job_record(job_object() | {"status": {"profile": {"name": "gpu", "spec": {"image": "a"}}}}) for _ in range(2)
    )
    assert first.profile is second.profile
    assert first.load()["status"]["profile"] == {"name": "gpu", "spec": {"image": "a"}}


def test_the_cache_keeps_the_newest_of_a_profile_and_forgets_what_is_gone() -> None:
    cache = Cache()
    cache.put(job())
    assert [cache.put_profile(record(version=version)) for version in (2, 1)] == [True, False]
    assert cache.sweep_profiles(set(), 1) is False
    assert cache.sweep_profiles(set(), 2) is True
    assert cache.put_profile(record(version=3)) is False  # a late event of one that is deleted
    assert cache.waiting() == [KEY]
    cache.put(replace(job(), phase="Running", version=200))
    assert cache.waiting() == []


# ------------------------------------------------------------ on a real API server
def put(server: ApiServer, name: str, **spec: Any) -> None:
    """Make a profile."""
    body = {"apiVersion": names.API_VERSION, "kind": names.PROFILE_KIND, "metadata": {"name": name}, "spec": spec}
    server.request("POST", PROFILES, body)


def test_a_life_with_a_profile(operator: OperatorProcess, space: Space) -> None:
    server, name = space.server, f"profile-{space.namespace}"
    space.submit("a", replicas=1, profile=name)
    wait_for("a reason", lambda: "must name a DLTrainProfile" in space.message("a", "Accepted"))
    put(
        server, name, namespaces=[space.namespace], environment={"NCCL_DEBUG": "WARN"}, limits=[{**LIMIT, "maximum": 1}]
    )
    space.await_pods("a-0-1")
    server.request("PATCH", f"{PROFILES}/{name}", {"spec": {"environment": {"NCCL_DEBUG": "INFO"}}})
    space.submit("many", replicas=2, profile=name)
    assert space.await_phase("Failed", "many")["failure"]["message"] == (
        f"spec.workers.replicas: must be at most 1 by DLTrainProfile {name} (got 2); set 1 or less"
    )
    operator.kill()
    server.request("DELETE", f"{PROFILES}/{name}")
    space.run("a-0-1")
    space.end("a-0-1", 1)
    operator.start()
    space.await_pods("a-0-2")
    variables = [pod["spec"]["containers"][0]["env"] for pod in space.pods().values()]
    assert [{"name": "NCCL_DEBUG", "value": "WARN"} in each for each in variables] == [True, True]
    assert space.status("a")["profile"]["generation"] == 1
