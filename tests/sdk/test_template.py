"""What a job's template does to the pods that come of it and of the template of its profile."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.api.parse_profile import parse_profile
from dltrain.api.profile import DLTrainProfile
from dltrain.errors import SpecError
from dltrain.names import OPERATOR_VOLUMES, SOURCE_VOLUME
from dltrain.resolution import resolved, settled
from dltrain_operator.children.pod import Place, worker_pod
from tests.sdk.builders import PIPELINE, job

HERE = "spec.workers.template.spec"
PLACE = Place(0, 1, "1", past_attempts=0, user_restarts=0)
SETUP: dict[str, Any] = {
    "name": "setup",
    "image": "platform:1",
    "command": ["/setup/run"],
    "securityContext": {"privileged": True},
    "volumeMounts": [{"name": "setup", "mountPath": "/setup"}, {"name": "workspace", "mountPath": "/workspace"}],
}
PREPARED: dict[str, Any] = {
    "spec": {
        "initContainers": [SETUP],
        "containers": [
            {"name": "logger", "image": "platform:2"},
            {"name": "worker", "volumeMounts": [{"name": "cache", "mountPath": "/cache"}]},
        ],
        "volumes": [{"name": "setup", "configMap": {"name": "platform"}}, {"name": "cache", "emptyDir": {}}],
    }
}


def profile(**spec: Any) -> DLTrainProfile:
    """A profile."""
    return parse_profile({"metadata": {"name": "p"}, "spec": spec})


def accepted(given: DLTrainProfile | None, template: dict[str, Any], **spec: Any) -> DLTrainJob:
    """A job with a template and with a profile laid under it."""
    return resolved(settled(job({"command": ["true"], "workers": {"template": template}, **spec}), given))


def pod(given: DLTrainProfile | None, template: dict[str, Any]) -> dict[str, Any]:
    """The spec of the pods of a job with that template."""
    made: dict[str, Any] = worker_pod(accepted(given, template), PLACE, "trainer:1")["spec"]
    return made


def said(given: DLTrainProfile | None, template: dict[str, Any]) -> list[str]:
    """What is said of a template that is refused."""
    with pytest.raises(SpecError) as caught:
        accepted(given, template)
    return [str(problem) for problem in caught.value.problems]


def own(changes: dict[str, Any]) -> dict[str, Any]:
    """A container of a job's own that does nothing it may not."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": "mine", "image": "mine:1", "securityContext": context, **changes}


MOUNTED = "must not be a volume that a container of the DLTrainProfile mounts"
USED = "must not be a volume that a container of the DLTrainProfile uses"
WRITTEN = "must be true, for a container of the DLTrainProfile mounts the volume"
SHARED = "must not be true, for processes see the files of the DLTrainProfile's containers then"
REMOVED = "must be a list, for the DLTrainProfile has entries in it"


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        pytest.param(
            {"volumes": [{"name": "setup", "configMap": {"name": "mine"}}]},
            [f'{HERE}.volumes[0].name: {MOUNTED} (got "setup"); give it another name'],
            id="replaces the code of its container",
        ),
        pytest.param(
            {"volumes": [{"name": "workspace", "configMap": {"name": "mine"}}]},
            [f'{HERE}.volumes[0].name: {MOUNTED} (got "workspace"); give it another name'],
            id="replaces a volume of ours that its container mounts",
        ),
        pytest.param(
            {"initContainers": None, "containers": None, "volumes": None},
            [
                f"{HERE}.{kind}: {REMOVED} (got null); write a list, or remove it"
                for kind in ("containers", "initContainers", "volumes")
            ],
            id="removes its lists",
        ),
        pytest.param(
            {"initContainers": {}, "volumes": ["text"]},
            [
                f"{HERE}.initContainers: {REMOVED}; write a list, or remove it",
                f'{HERE}.volumes: {REMOVED} (got ["text"]); write a list, or remove it',
            ],
            id="lists that are none",
        ),
        pytest.param(
            {"initContainers": [own({"volumeMounts": [{"name": "setup", "mountPath": "/a"}]})]},
            [
                f"{HERE}.initContainers[0].volumeMounts[0].readOnly: {WRITTEN}; write readOnly: true",
            ],
            id="writes what its container runs",
        ),
        pytest.param(
            {"containers": [{"name": "worker", "volumeDevices": [{"name": "setup", "devicePath": "/dev/a"}]}]},
            [
                f'{HERE}.containers[0].volumeDevices[0].name: {USED} (got "setup"); remove it',
            ],
            id="takes the device under it",
        ),
        pytest.param(
            {"shareProcessNamespace": True},
            [
                f"{HERE}.shareProcessNamespace: {SHARED}; remove it",
            ],
            id="sees the files of its containers",
        ),
    ],
)
def test_a_template_cannot_change_what_its_profile_runs(spec: dict[str, Any], problems: list[str]) -> None:
    assert said(profile(template=PREPARED), {"spec": spec}) == problems


@pytest.mark.parametrize("spec", [None, "text", []])
def test_a_template_cannot_remove_all_that_its_profile_has(spec: Any) -> None:
    (problem,) = said(profile(template=PREPARED), {"spec": spec})
    assert problem.startswith(f"{HERE}: must be a mapping, for the DLTrainProfile has a spec")


def test_a_template_may_read_what_a_container_of_its_profile_mounts() -> None:
    mount = {"name": "setup", "mountPath": "/a", "readOnly": True}
    made = pod(profile(template=PREPARED), {"spec": {"initContainers": [own({"volumeMounts": [mount]})]}})
    assert [each["volumeMounts"] for each in made["initContainers"] if each["name"] == "mine"] == [[mount]]


RICH: dict[str, Any] = {
    "metadata": {
        "annotations": {"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"},
        "labels": {"kueue.x-k8s.io/queue-name": "b"},
    },
    "spec": {
        "hostNetwork": True,
        "priorityClassName": "b",
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsUser": 0,
            "sysctls": [{"name": "a", "value": "b"}],
            "seLinuxOptions": {"type": "a", "user": "b"},
            "appArmorProfile": {"type": "Unconfined"},
            "seccompProfile": {"type": "Unconfined"},
            "windowsOptions": {"hostProcess": True},
        },
        "volumes": [{"name": "a", "hostPath": {"path": "/a"}}],
        "containers": [
            {"name": "worker", "image": "b", "resources": {"limits": {"nvidia.com/gpu": 2}}},
            {
                "name": "mine",
                "securityContext": {"procMount": "Unmasked", "capabilities": {"add": ["A"], "drop": ["B"]}},
                "volumeMounts": [{"name": "a", "mountPath": "/a", "readOnly": True}],
                "volumeDevices": [{"name": "a", "devicePath": "/a"}],
                "ports": [{"hostPort": 1}],
                "livenessProbe": {"httpGet": {"host": "a"}},
                "lifecycle": {"postStart": {"tcpSocket": {"host": "a"}}},
            },
        ],
    },
}
"""Something in every place that is looked at."""
LIMITED = ("workers.image", "workers.resources.limits[nvidia.com/gpu]", "scheduling.priorityClassName")
LIMITS = [{"field": f"spec.{field}", "allowed": ["a"]} for field in (*LIMITED, "scheduling.queueName")]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in a document."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places(each, (*path, name))


@pytest.mark.parametrize("path", list(places(RICH)), ids=lambda path: ".".join(map(str, path)))
def test_a_wrong_type_anywhere_is_left_to_the_api_server_to_refuse(path: tuple[Any, ...]) -> None:
    wrongs: list[Any] = [[], {}, [[]], {"a": []}, 5, None]
    for wrong in wrongs:
        template = copy.deepcopy(RICH)
        *above, last = path
        functools.reduce(lambda value, name: value[name], above, template)[last] = wrong
        for given in (None, profile(template=PREPARED, limits=LIMITS)):
            with suppress(SpecError):
                worker_pod(accepted(given, template), PLACE, "trainer:1")


def test_a_template_may_change_the_volumes_of_the_worker_and_add_its_own() -> None:
    mine = [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "mine", "emptyDir": {}}]
    made = pod(profile(template=PREPARED), {"spec": {"volumes": mine, "initContainers": []}})
    assert [each for each in made["volumes"] if each["name"] in {"cache", "mine", "setup"}] == [
        PREPARED["spec"]["volumes"][0],
        *mine,
    ]
    assert made["initContainers"] == [SETUP]


# ------------------------------------------------------------ folders to be read only
DATA = {"path": "/mnt/data"}
READ_ONLY = {"hostPaths": [DATA]}


def named(name: str) -> dict[str, Any]:
    """A template with a folder of the node as a volume."""
    return {"spec": {"volumes": [{"name": name, "hostPath": DATA}]}}


@pytest.mark.parametrize("name", [*sorted(OPERATOR_VOLUMES), SOURCE_VOLUME, f"{SOURCE_VOLUME}-2", "cache"])
def test_a_folder_to_be_read_only_cannot_take_the_name_of_a_volume_that_is_written_to(name: str) -> None:
    template = {"spec": {"containers": PREPARED["spec"]["containers"]}}
    (problem,) = said(profile(template=template, allow=READ_ONLY), named(name))
    assert problem == (
        f"{HERE}.volumes[0].name: must not be a volume of the operator or one that the DLTrainProfile mounts to write, "
        f'for its DLTrainProfile does not allow to write to /mnt/data (got "{name}"); give it another name'
    )


def test_a_folder_to_be_written_may_take_the_place_of_a_volume_of_ours() -> None:
    made = pod(profile(allow={"hostPaths": [{**DATA, "writable": True}]}), named("tmp"))
    assert [each for each in made["volumes"] if each["name"] == "tmp"] == [{"name": "tmp", "hostPath": DATA}]


def test_the_names_of_our_volumes_are_all_that_a_pod_has() -> None:
    pipeline = {**PIPELINE, "data": {"source": "pvc://images/train", "format": "npz"}}
    reading = worker_pod(job({"pipeline": pipeline}), PLACE, "trainer:1")["spec"]
    assert {each["name"] for each in pod(None, {})["volumes"]} == OPERATOR_VOLUMES
    assert {each["name"] for each in reading["volumes"]} == OPERATOR_VOLUMES | {SOURCE_VOLUME}


# ------------------------------------------------------------ null
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="no profile"),
        pytest.param(profile(), id="an empty one"),
        pytest.param(profile(nodeSelector={"a": "b"}, template=PREPARED), id="one with a template"),
    ],
)
def test_null_removes_what_the_operator_sets(given: DLTrainProfile | None) -> None:
    template = {"spec": {"affinity": None, "securityContext": {"fsGroup": None}, "terminationGracePeriodSeconds": None}}
    without, whole = pod(given, template), pod(given, {})
    del whole["affinity"], whole["securityContext"]["fsGroup"], whole["terminationGracePeriodSeconds"]
    assert without == whole


def test_null_in_a_profile_removes_what_the_operator_sets() -> None:
    whole = pod(profile(environment={"A": "b"}), {})
    del whole["affinity"]
    assert pod(profile(template={"spec": {"affinity": None}}, environment={"A": "b"}), {}) == whole


LAX_POD = {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}}
STRICT: dict[str, Any] = {"name": "worker", "securityContext": {"runAsNonRoot": True, "runAsUser": 1000}}


@pytest.mark.parametrize(
    ("container", "paths"),
    [
        pytest.param(
            {"name": "worker", "securityContext": {"runAsNonRoot": None}}, ["runAsNonRoot"], id="removes a rule"
        ),
        pytest.param({"name": "worker", "securityContext": {"runAsUser": None}}, ["runAsUser"], id="removes a user"),
        pytest.param(
            {
                "name": "side",
                "image": "x",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            },
            ["runAsNonRoot", "runAsUser"],
            id="adds a container that is root by the pod",
        ),
    ],
)
def test_a_template_cannot_be_root_by_what_its_profile_says_of_the_pod(
    container: dict[str, Any], paths: list[str]
) -> None:
    given = profile(template={"spec": {**LAX_POD, "containers": [STRICT, {"name": "driver", "image": "d"}]}})
    problems = said(given, {"spec": {"containers": [container]}})
    assert [problem.partition(": ")[0] for problem in problems] == [f"{HERE}.securityContext.{name}" for name in paths]


def test_a_template_may_add_a_container_that_is_not_root_whatever_its_profile_says_of_the_pod() -> None:
    security = {**STRICT["securityContext"], "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    side = {"name": "side", "image": "x", "securityContext": security}
    given = profile(template={"spec": {**LAX_POD, "containers": [STRICT]}})
    assert pod(given, {"spec": {"containers": [side]}})["containers"][1] == side
