"""Profiles: which one a job gets, and what becomes of the job with it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.api.parse_profile import parse_profile
from dltrain.api.profile import DLTrainProfile
from dltrain.errors import SpecError
from dltrain.resolution import MissingProfileError, choose, resolved, settled
from tests.sdk.builders import PIPELINE, job
from tests.sdk.profile_strategies import PROFILES, TEMPLATES
from tests.sdk.strategies import JOBS

GPU = "nvidia.com/gpu"
quick = settings(deadline=None, max_examples=60, derandomize=True)


def profile(name: str = "p", at: str = "2026-03-01T12:00:00Z", **spec: Any) -> DLTrainProfile:
    """A profile."""
    return parse_profile({"metadata": {"name": name, "generation": 3, "creationTimestamp": at}, "spec": spec})


def outcome(given: DLTrainProfile | None, **spec: Any) -> DLTrainJob:
    """A command job with a profile laid under it."""
    return resolved(settled(job({"command": ["true"], **spec}, namespace="ml"), given))


def said(given: DLTrainProfile | None, **spec: Any) -> list[str]:
    """What is said of a job that breaks a rule of its profile."""
    with pytest.raises(SpecError) as caught:
        outcome(given, **spec)
    return [str(problem) for problem in caught.value.problems]


# ------------------------------------------------------------ which one
OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
NEWEST = "2026-03-01T00:00:00Z"


@pytest.mark.parametrize(
    ("known", "named", "chosen"),
    [
        pytest.param([], None, None, id="there is none"),
        pytest.param([profile("a")], None, None, id="none is a default"),
        pytest.param([profile("a")], "a", "a", id="the job names it"),
        pytest.param([profile("a", default=True)], None, "a", id="a default"),
        pytest.param([profile("a", default=True), profile("b")], "b", "b", id="a name goes before a default"),
        pytest.param(
            [profile("a", NEW, default=True), profile("b", OLD, default=True)],
            None,
            "a",
            id="the newest of two defaults",
        ),
        pytest.param(
            [profile("a", NEWEST, default=True), profile("b", OLD, default=True, namespaces=["ml"])],
            None,
            "b",
            id="the default of the namespace goes before a newer one of all",
        ),
        pytest.param(
            [profile("a", default=True, namespaces=["vision"])], None, None, id="the default of another namespace"
        ),
    ],
)
def test_which_profile_a_job_gets(known: list[DLTrainProfile], named: str | None, chosen: str | None) -> None:
    given = {} if named is None else {"profile": named}
    found = choose(job({"command": ["true"], **given}, namespace="ml"), known)
    assert (None if found is None else found.name) == chosen


def test_a_job_waits_for_a_profile_that_is_not_there() -> None:
    with pytest.raises(MissingProfileError) as caught:
        choose(job({"command": ["true"], "profile": "c"}), [profile("b"), profile("a")])
    assert str(caught.value) == (
        'spec.profile: must name a DLTrainProfile (got "c"); create it, or submit the job anew with one of these: a, b'
    )


def test_a_namespace_cannot_use_the_profile_of_another() -> None:
    with pytest.raises(SpecError) as caught:
        choose(job({"command": ["true"], "profile": "a"}, namespace="ml"), [profile("a", namespaces=["vision"])])
    assert not isinstance(caught.value, MissingProfileError)
    assert str(caught.value) == (
        'spec.profile: must name a DLTrainProfile that jobs of namespace ml may use (got "a"); '
        "name another, or ask whoever made it"
    )


# ------------------------------------------------------------ what it fills in
FULL = profile(
    image="profile:1",
    resources={"limits": {GPU: 8, "memory": "64Gi"}, "requests": {"cpu": 16}},
    nodeSelector={"pool": "gpu", "disk": "fast"},
    tolerations=[{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
    environment={"NCCL_DEBUG": "WARN", "FI_PROVIDER": "efa"},
    sharedMemory="16Gi",
    storage={"claimName": "models"},
    scheduling={
        "topologyKey": "rack",
        "priorityClassName": "high",
        "sharedClaims": [{"name": "fabric", "claim": "fabric"}],
    },
    template={"metadata": {"annotations": {"a": "b"}}, "spec": {"serviceAccountName": "trainer"}},
)


def test_a_job_that_says_nothing_gets_all_of_its_profile() -> None:
    spec = outcome(FULL).spec
    assert spec.workers.to_dict() == {
        "replicas": 1,
        "image": "profile:1",
        "resources": {"limits": {GPU: 8, "memory": "64Gi"}, "requests": {"cpu": 16}},
        "template": {
            "metadata": {"annotations": {"a": "b"}},
            "spec": {
                "serviceAccountName": "trainer",
                "nodeSelector": {"pool": "gpu", "disk": "fast"},
                "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
                "containers": [
                    {
                        "name": "worker",
                        "env": [{"name": "FI_PROVIDER", "value": "efa"}, {"name": "NCCL_DEBUG", "value": "WARN"}],
                    }
                ],
                "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}],
            },
        },
    }
    assert spec.workers.slots == 8
    assert spec.storage is not None
    assert (spec.storage.claim_name, spec.scheduling) == ("models", FULL.spec.scheduling)
    assert outcome(FULL).status.profile is not None
    assert outcome(FULL).status.profile.generation == 3  # type: ignore[union-attr]  # it is set


def test_what_a_job_says_itself_stays() -> None:
    template = {
        "spec": {
            "nodeSelector": {"disk": "slow"},
            "containers": [{"name": "worker", "env": [{"name": "NCCL_DEBUG", "value": "INFO"}]}],
        }
    }
    workers = {"image": "job:1", "resources": {"limits": {GPU: 2, "cpu": 4}}, "template": template}
    spec = outcome(FULL, workers=workers, storage={"claimName": "own"}, scheduling={"topologyKey": "zone"}).spec
    pod = spec.workers.template["spec"]
    assert spec.workers.image == "job:1"
    assert spec.workers.resources.to_dict() == {"limits": {GPU: 2, "memory": "64Gi", "cpu": 4}, "requests": {}}
    assert pod["nodeSelector"] == {"pool": "gpu", "disk": "slow"}
    assert pod["containers"][0]["env"] == [
        {"name": "FI_PROVIDER", "value": "efa"},
        {"name": "NCCL_DEBUG", "value": "INFO"},
    ]
    assert spec.storage is not None
    assert spec.storage.claim_name == "own"
    assert spec.scheduling.to_dict() == {**FULL.spec.scheduling.to_dict(), "topologyKey": "zone"}


@quick
@given(document=JOBS)
def test_without_a_profile_a_job_is_itself(document: dict[str, Any]) -> None:
    made = parse_job(document)
    assert resolved(settled(made, None)) == made


def fields(job: DLTrainJob) -> dict[str, Any]:
    """What a profile may fill in, as far as the job says it."""
    spec, workers = job.spec.to_dict(), job.spec.workers
    said = {"image": workers.image, "storage": spec.get("storage"), **spec["scheduling"]}
    said |= {f"limit {name}": value for name, value in workers.resources.limits.items()}
    said |= {f"request {name}": value for name, value in workers.resources.requests.items()}
    selector = workers.template.get("spec", {}).get("nodeSelector", {})
    said |= {f"label {name}": value for name, value in selector.items()}
    return {name: value for name, value in said.items() if value not in (None, [])}


@quick
@given(document=JOBS, given_profile=PROFILES)
def test_every_word_of_the_job_stays_and_all_that_profiles_do_not_know(
    document: dict[str, Any], given_profile: DLTrainProfile
) -> None:
    made = parse_job(document)  # whose requests never exceed a limit of the profiles
    done = resolved(settled(made, given_profile))
    assert fields(done).items() >= fields(made).items()
    touched = {"workers", "scheduling", "storage"}
    assert done.spec.model_dump(exclude=touched) == made.spec.model_dump(exclude=touched)
    assert done.spec.workers.replicas == made.spec.workers.replicas


@quick
@given(document=JOBS, first=PROFILES, second=PROFILES)
def test_the_outcome_depends_on_the_status_alone_and_twice_is_once(
    document: dict[str, Any], first: DLTrainProfile, second: DLTrainProfile
) -> None:
    made = settled(parse_job(document), first)
    expected = resolved(made).spec.to_dict()
    settled(parse_job(document), second)  # another job's
    stored = made.model_validate(made.to_dict())  # read back from the API server
    assert resolved(stored).spec.to_dict() == expected
    assert resolved(resolved(made)).spec.to_dict() == expected


# ------------------------------------------------------------ limits
@pytest.mark.parametrize(
    ("limit", "spec", "problem"),
    [
        pytest.param(
            {"field": "spec.workers.replicas", "maximum": 8},
            {"workers": {"replicas": 9}},
            "spec.workers.replicas: must be at most 8 by DLTrainProfile p (got 9); set 8 or less",
            id="too many",
        ),
        pytest.param(
            {"field": f"spec.workers.resources.limits[{GPU}]", "minimum": 8},
            {"workers": {"resources": {"limits": {GPU: 4}}}},
            f"spec.workers.resources.limits[{GPU}]: must be at least 8 by DLTrainProfile p (got 4); set 8 or more",
            id="too few",
        ),
        pytest.param(
            {"field": "spec.workers.resources.limits.memory", "maximum": "64Gi"},
            {"workers": {"resources": {"limits": {"memory": "65Gi"}}}},
            'spec.workers.resources.limits.memory: must be at most 64Gi by DLTrainProfile p (got "65Gi"); '
            "set 64Gi or less",
            id="a quantity",
        ),
        pytest.param(
            {"field": "spec.workers.image", "allowed": ["registry.example.com/*"]},
            {"workers": {"image": "other.example.com/a"}},
            "spec.workers.image: must be registry.example.com/* by DLTrainProfile p "
            '(got "other.example.com/a"); write that',
            id="an image from elsewhere",
        ),
        pytest.param(
            {"field": "spec.runPolicy.ttlSecondsAfterFinished", "required": True},
            {},
            "spec.runPolicy.ttlSecondsAfterFinished: is required by DLTrainProfile p; add it",
            id="not there",
        ),
        pytest.param(
            {"field": "spec.backend", "maximum": 1},
            {},
            'spec.backend: must be a number by DLTrainProfile p (got "horovod"); write a number',
            id="a bound of a word",
        ),
        pytest.param(
            {"field": "spec.runPolicy.suspend", "allowed": ["true"]},
            {},
            "spec.runPolicy.suspend: must be true by DLTrainProfile p (got false); write that",
            id="a word for false",
        ),
        pytest.param(
            {"field": "spec.workers.image", "maximum": 1},
            {"workers": {"image": "NaN"}},
            'spec.workers.image: must be a number by DLTrainProfile p (got "NaN"); write a number',
            id="a bound of what is not a number by name",
        ),
    ],
)
def test_a_job_that_breaks_a_limit_is_refused(limit: dict[str, Any], spec: dict[str, Any], problem: str) -> None:
    assert said(profile(limits=[limit]), **spec) == [problem]


@pytest.mark.parametrize(
    ("limit", "spec"),
    [
        pytest.param(
            {"field": "spec.workers.replicas", "minimum": 1, "maximum": 8}, {"workers": {"replicas": 8}}, id="8"
        ),
        pytest.param(
            {"field": "spec.workers.image", "allowed": ["a:*", "b:1"]}, {"workers": {"image": "a:7"}}, id="one of two"
        ),
        pytest.param({"field": "spec.workers.resources.limits.memory", "maximum": "1Gi"}, {}, id="what is not there"),
        pytest.param(
            {"field": "spec.runPolicy.suspend", "allowed": ["true"]}, {"runPolicy": {"suspend": True}}, id="true"
        ),
    ],
)
def test_a_job_within_the_limits_is_taken(limit: dict[str, Any], spec: dict[str, Any]) -> None:
    assert outcome(profile(limits=[limit]), **spec).spec.command == ("true",)


def test_limits_are_checked_after_the_profile_is_laid_under_the_job() -> None:
    given = profile(
        resources={"limits": {GPU: 8}}, limits=[{"field": f"spec.workers.resources.limits[{GPU}]", "maximum": 4}]
    )
    assert len(said(given)) == 1


TEMPLATE = "spec.workers.template"


def worker(**fields: Any) -> dict[str, Any]:
    """The workers of a job whose template says something of their container."""
    return {"template": {"spec": {"containers": [{"name": "side", "image": "x"}, {"name": "worker", **fields}]}}}


@pytest.mark.parametrize(
    ("limit", "workers", "problem"),
    [
        pytest.param(
            {"field": "spec.workers.image", "allowed": ["registry.example.com/*"]},
            {"image": "registry.example.com/a", **worker(image="other.example.com/a")},
            f"{TEMPLATE}.spec.containers[1].image: must be registry.example.com/* by DLTrainProfile p "
            '(got "other.example.com/a"); write that',
            id="an image",
        ),
        pytest.param(
            {"field": f"spec.workers.resources.limits[{GPU}]", "maximum": 4},
            {"resources": {"limits": {GPU: 1}}, **worker(resources={"limits": {GPU: "8"}})},
            f"{TEMPLATE}.spec.containers[1].resources.limits[{GPU}]: must be at most 4 by DLTrainProfile p "
            '(got "8"); set 4 or less',
            id="GPUs",
        ),
        pytest.param(
            {"field": "spec.workers.resources.limits.memory", "required": True},
            {"resources": {"limits": {"memory": "1Gi"}}, **worker(resources={"limits": None})},
            f"{TEMPLATE}.spec.containers[1].resources.limits.memory: is required by DLTrainProfile p; add it",
            id="limits that it removes",
        ),
        pytest.param(
            {"field": "spec.scheduling.priorityClassName", "allowed": ["low"]},
            {"template": {"spec": {"priorityClassName": "high"}}},
            f'{TEMPLATE}.spec.priorityClassName: must be low by DLTrainProfile p (got "high"); write that',
            id="a priority",
        ),
        pytest.param(
            {"field": "spec.scheduling.queueName", "allowed": ["small"]},
            {"template": {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "large"}}}},
            f"{TEMPLATE}.metadata.labels[kueue.x-k8s.io/queue-name]: must be small by DLTrainProfile p "
            '(got "large"); write that',
            id="a queue",
        ),
    ],
)
def test_a_template_is_no_way_around_a_limit(limit: dict[str, Any], workers: dict[str, Any], problem: str) -> None:
    given = profile(limits=[limit], allow={"podSecurity": "privileged"}, environment={"A": "b"})
    assert said(given, workers=workers) == [problem]


def test_a_template_is_no_cover_for_a_field_that_breaks_a_limit() -> None:
    given = profile(limits=[{"field": "spec.scheduling.priorityClassName", "allowed": ["low"]}])
    workers = {"template": {"spec": {"priorityClassName": "low"}}}
    assert said(given, workers=workers, scheduling={"priorityClassName": "high"}) == [
        'spec.scheduling.priorityClassName: must be low by DLTrainProfile p (got "high"); write that'
    ]


def test_a_limit_of_replicas_holds_for_all_that_a_job_may_be_scaled_to() -> None:
    given = profile(limits=[{"field": "spec.workers.replicas", "minimum": 2, "maximum": 8}])
    spec: dict[str, Any] = {"workers": {"replicas": 4}, "pipeline": PIPELINE, "command": None}
    assert said(given, **spec, elastic={"minReplicas": 1, "maxReplicas": 9}) == [
        "spec.elastic.minReplicas: must be at least 2 by DLTrainProfile p (got 1); set 2 or more",
        "spec.elastic.maxReplicas: must be at most 8 by DLTrainProfile p (got 9); set 8 or less",
    ]
    assert outcome(given, **spec, elastic={"minReplicas": 2, "maxReplicas": 8}).spec.workers.replicas == 4


# ------------------------------------------------------------ pod templates
def test_a_template_cannot_lift_pod_security_without_a_profile() -> None:
    (problem,) = said(None, workers={"template": {"spec": {"hostNetwork": True}}})
    assert problem == (
        "spec.workers.template.spec.hostNetwork: must not be true under Pod Security restricted (got true); "
        "change it, or use a DLTrainProfile that allows podSecurity privileged"
    )


def test_all_problems_come_at_once_with_the_places_of_the_template() -> None:
    side = {"name": "side", "image": "x", "securityContext": {"runAsUser": 0}}
    template = {"spec": {"containers": [side, {"name": "worker", "ports": [{"containerPort": 1, "hostPort": 1}]}]}}
    paths = [
        line.partition(": ")[0].removeprefix("spec.workers.template.")
        for line in said(None, workers={"template": template})
    ]
    assert paths == [
        "spec.containers[0].securityContext.allowPrivilegeEscalation",
        "spec.containers[0].securityContext.capabilities.drop",
        "spec.containers[0].securityContext.runAsUser",
        "spec.containers[1].ports[0].hostPort",
    ]


FOLDER = {"spec": {"volumes": [{"name": "nvme", "hostPath": {"path": "/mnt/nvme/scratch"}}]}}
MOUNT = {"name": "nvme", "mountPath": "/scratch"}


def mounting(**mount: Any) -> dict[str, Any]:
    """A template that mounts a folder of the node."""
    return {"spec": {**FOLDER["spec"], "containers": [{"name": "worker", "volumeMounts": [{**MOUNT, **mount}]}]}}


@pytest.mark.parametrize(
    ("allow", "template", "rule"),
    [
        pytest.param({}, FOLDER, "must not be a folder of the node", id="nothing is allowed"),
        pytest.param(
            {"hostPaths": [{"path": "/mnt/nvm"}]},
            FOLDER,
            "must not be a folder of the node",
            id="a longer name is another",
        ),
        pytest.param(
            {"hostPaths": [{"path": "/mnt"}]},
            {"spec": {"volumes": [{"name": "a", "hostPath": {"path": "/mnt/../etc"}}]}},
            "must not be a folder of the node",
            id="a way out of it",
        ),
        pytest.param(
            {"hostPaths": [{"path": "/mnt/nvme"}]},
            mounting(),
            "must be true, for its DLTrainProfile does not allow to write to /mnt/nvme",
            id="to be read only",
        ),
    ],
)
def test_folders_of_nodes_that_a_template_may_not_mount(
    allow: dict[str, Any], template: dict[str, Any], rule: str
) -> None:
    (problem,) = said(profile(allow=allow), workers={"template": template})
    assert f": {rule}" in problem


@pytest.mark.parametrize(
    ("allow", "template"),
    [
        pytest.param({"hostPaths": [{"path": "/mnt/nvme"}]}, mounting(readOnly=True), id="to be read"),
        pytest.param({"hostPaths": [{"path": "/mnt/nvme", "writable": True}]}, mounting(), id="to be written"),
        pytest.param({"podSecurity": "privileged"}, mounting(), id="everything"),
    ],
)
def test_folders_of_nodes_that_a_template_may_mount(allow: dict[str, Any], template: dict[str, Any]) -> None:
    assert outcome(profile(allow=allow), workers={"template": template}).status.profile is not None


OURS = {
    "spec": {
        "containers": [{"name": "driver", "image": "d", "securityContext": {"privileged": True}}],
        "volumes": [{"name": "keys", "hostPath": {"path": "/etc/keys"}}],
    }
}


@pytest.mark.parametrize(
    ("container", "path"),
    [
        pytest.param({"name": "driver", "image": "mine"}, "containers[0].name", id="its container"),
        pytest.param(
            {"name": "worker", "volumeMounts": [{"name": "keys", "mountPath": "/k"}]},
            "containers[0].volumeMounts[0].readOnly",
            id="its folder of the node",
        ),
    ],
)
def test_a_template_cannot_use_what_the_profile_may_do(container: dict[str, Any], path: str) -> None:
    problems = said(
        profile(template=OURS, allow={"podSecurity": "baseline"}),
        workers={"template": {"spec": {"containers": [container]}}},
    )
    assert f"spec.workers.template.spec.{path}" in [problem.partition(": ")[0] for problem in problems]


def test_the_template_of_the_profile_itself_may_do_anything() -> None:
    assert outcome(profile(template=OURS)).spec.workers.template["spec"] == OURS["spec"]


@quick
@given(template=TEMPLATES)
def test_a_laxer_permission_forbids_nothing_more(template: dict[str, Any]) -> None:
    def forbidden(level: str) -> set[str]:
        try:
            outcome(profile(allow={"podSecurity": level}), workers={"template": template})
        except SpecError as error:
            return {problem.path for problem in error.problems}
        return set()

    assert forbidden("restricted") >= forbidden("baseline") >= forbidden("privileged") == set()
