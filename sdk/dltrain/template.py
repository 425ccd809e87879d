"""What the pod template of a job may not do, unless its profile allows it: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from dltrain.api.profile import HostPath, Permissions, ProfileSpec
from dltrain.api.wording import shown
from dltrain.errors import Problem
from dltrain.names import OPERATOR_VOLUMES, SOURCE_VOLUME, WORKER_CONTAINER
from dltrain.overlay import are_entries, overlay
from dltrain.pod_security import (
    CONTAINER_LISTS,
    Finding,
    entries,
    exceeds,
    findings,
    host_paths,
    mapping,
    owned_findings,
)

USES: Final = ("volumeMounts", "volumeDevices")
"""The lists of a container that name volumes."""
USER_ID: Final = 1000
"""The user and group of everything in a worker pod."""
POD_SECURITY: Final[Mapping[str, Any]] = {
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "fsGroup": USER_ID,
    "fsGroupChangePolicy": "OnRootMismatch",  # a large volume is not walked on every start
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The security context of a worker pod that no template changes."""
CONTAINER_SECURITY: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""That of its worker container."""
BARE: Final[Mapping[str, Any]] = {
    "spec": {
        "securityContext": POD_SECURITY,
        "containers": [{"name": WORKER_CONTAINER, "securityContext": CONTAINER_SECURITY}],
    }
}
"""As much of a worker pod as matters to Pod Security."""
HERE: Final = "spec.workers.template"


def template_problems(template: Mapping[str, Any], profile: ProfileSpec | None) -> list[Problem]:
    """What a job's pod template does that it may not.

    Args:
        template: the job's own template, without the profile's.
        profile: the job's profile; without one a job may do nothing that the level restricted forbids.
    """
    given = profile or ProfileSpec()
    allow, alone, whole = given.allow, overlay(BARE, template), overlay(BARE, combined(given.template, template))
    lifted = [(finding, alone) for finding in findings(alone)]
    lifted += [(finding, whole) for finding in brought(given.template, whole)]
    problems = [
        security_problem(finding, pod, template, allow)
        for finding, pod in lifted
        if exceeds(finding.needs, allow.pod_security)
    ]
    if allow.pod_security != "privileged":
        problems += [*host_path_problems(template, given), *touching(template, given)]
    return sorted(set(problems), key=lambda problem: (problem.path, problem.rule))


def combined(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two templates as one: it does to a pod what both do, one after the other."""
    return overlay(below, over, keep_nulls=True)


def brought(below: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[Finding]:
    """What is found of a pod that its profile's template does not bring about by itself.

    A job's template can lift what it does not name: by null, or in a container that has from its pod what it does not
    say itself.
    """
    known = set(owned_findings(overlay(BARE, below)))
    yield from (finding for owner, finding in owned_findings(pod) if (owner, finding) not in known)


def security_problem(
    finding: Finding, pod: Mapping[str, Any], template: Mapping[str, Any], allow: Permissions
) -> Problem:
    """A finding in our words, at its place in the job."""
    rule = f"{finding.rule} under Pod Security {allow.pod_security}"
    remedy = f"change it, or use a DLTrainProfile that allows podSecurity {finding.needs}"
    return Problem(f"{HERE}.{in_template(finding.path, pod, template)}", rule, finding.value, remedy)


def in_template(path: str, pod: Mapping[str, Any], template: Mapping[str, Any]) -> str:
    """Where a field of the pod is in the template, whose containers and volumes may have another order."""
    head, bracket, rest = path.partition("[")
    kind = head.removeprefix("spec.")
    if not bracket or kind not in {*CONTAINER_LISTS, "volumes"}:
        return path
    number, _, below = rest.partition("]")
    name = entries(mapping(pod["spec"]).get(kind))[int(number)].get("name")
    names = [entry.get("name") for entry in entries(mapping(template.get("spec")).get(kind))]
    return f"{head}[{names.index(name) if name in names else number}]{below}"


def host_path_problems(template: Mapping[str, Any], profile: ProfileSpec) -> Iterator[Problem]:
    """The folders of nodes that a template mounts and may not, or may read only."""
    for place, name, path in host_paths(template):
        allowed = permitted(path, profile.allow.host_paths)
        if allowed is None:
            remedy = "mount a claim, or use a DLTrainProfile whose allow.hostPaths has it"
            yield Problem(
                f"{HERE}.spec.volumes[{place}].hostPath.path", "must not be a folder of the node", f'"{path}"', remedy
            )
        elif not allowed.writable:
            why = f"for its DLTrainProfile does not allow to write to {allowed.path}"
            yield from written(template, {name}, why)
            if is_written(name, profile.template):
                rule = "must not be a volume of the operator or one that the DLTrainProfile mounts to write"
                yield Problem(
                    f"{HERE}.spec.volumes[{place}].name", f"{rule}, {why}", f'"{name}"', "give it another name"
                )


def is_written(volume: str, below: Mapping[str, Any]) -> bool:
    """Whether the operator, or the template of a profile, mounts a volume of that name to write to it.

    Every name of the operator's counts: what is mounted read-only today may not be tomorrow.
    """
    mounts = (mount for _, _, container in containers(below) for mount in entries(container.get("volumeMounts")))
    return (
        volume in OPERATOR_VOLUMES
        or volume == SOURCE_VOLUME
        or volume.startswith(f"{SOURCE_VOLUME}-")
        or any(name_of(mount) == volume and mount.get("readOnly") is not True for mount in mounts)
    )


def permitted(path: str, allowed: tuple[HostPath, ...]) -> HostPath | None:
    """What allows to mount a folder: the longest entry that holds it."""
    folder = PurePosixPath(path)
    if ".." in folder.parts:
        return None
    holding = [each for each in allowed if folder.is_relative_to(each.path)]
    return max(holding, key=lambda each: len(each.path), default=None)


def written(template: Mapping[str, Any], volumes: set[str], why: str) -> Iterator[Problem]:
    """The mounts of volumes that could be written to."""
    for kind, place, container in containers(template):
        for spot, mount in enumerate(entries(container.get("volumeMounts"))):
            if name_of(mount) in volumes and mount.get("readOnly") is not True:
                path = f"{HERE}.spec.{kind}[{place}].volumeMounts[{spot}].readOnly"
                yield Problem(path, f"must be true, {why}", remedy="write readOnly: true")


def touching(template: Mapping[str, Any], profile: ProfileSpec) -> Iterator[Problem]:
    """What a template does to containers, volumes and folders of nodes that are its profile's and not its own."""
    yield from removing(template, profile.template)
    theirs = [each for _, _, each in containers(profile.template) if name_of(each) != WORKER_CONTAINER]
    names = {name_of(container) for container in theirs}
    for kind, place, container in containers(template):
        if name_of(container) in names:
            rule = "must not be a container of the DLTrainProfile"
            path = f"{HERE}.spec.{kind}[{place}].name"
            yield Problem(path, rule, f'"{name_of(container)}"', "give it another name, or remove it")
    used = {name_of(use) for each in theirs for kind in USES for use in entries(each.get(kind))}
    yield from using(template, used)
    shared = "shareProcessNamespace"
    if theirs and mapping(template.get("spec")).get(shared) and not mapping(profile.template.get("spec")).get(shared):
        rule = "must not be true, for processes see the files of the DLTrainProfile's containers then"
        yield Problem(f"{HERE}.spec.{shared}", rule, remedy="remove it")
    folders = {name for _, name, _ in host_paths(profile.template)} - (used - OPERATOR_VOLUMES)
    yield from written(template, folders, "for the volume is a folder of the node")


def using(template: Mapping[str, Any], used: set[str]) -> Iterator[Problem]:
    """What a template does to the volumes that containers of its profile use, which may run what they find there.

    Args:
        template: the job's.
        used: the names of these volumes. What the operator has is the worker's to write to, whoever reads it.
    """
    for place, volume in enumerate(entries(mapping(template.get("spec")).get("volumes"))):
        if name_of(volume) in used:
            rule = "must not be a volume that a container of the DLTrainProfile mounts"
            yield Problem(f"{HERE}.spec.volumes[{place}].name", rule, f'"{name_of(volume)}"', "give it another name")
    own = used - OPERATOR_VOLUMES
    yield from written(template, own, "for a container of the DLTrainProfile mounts the volume")
    for kind, place, container in containers(template):
        for spot, device in enumerate(entries(container.get("volumeDevices"))):
            if name_of(device) in own:
                path = f"{HERE}.spec.{kind}[{place}].volumeDevices[{spot}].name"
                rule = "must not be a volume that a container of the DLTrainProfile uses"
                yield Problem(path, rule, f'"{name_of(device)}"', "remove it")


def removing(template: Mapping[str, Any], below: Mapping[str, Any]) -> Iterator[Problem]:
    """What a template removes of the containers and volumes of its profile, which entries of a list never do."""
    theirs, spec = mapping(below.get("spec")), template.get("spec", {})
    if theirs and not isinstance(spec, Mapping):
        rule = "must be a mapping, for the DLTrainProfile has a spec"
        yield Problem(f"{HERE}.spec", rule, written_as(spec), "write a mapping, or remove it")
    for kind in (*CONTAINER_LISTS, "volumes"):
        if theirs.get(kind) and kind in mapping(spec) and not are_entries(spec[kind]):
            rule = "must be a list, for the DLTrainProfile has entries in it"
            yield Problem(f"{HERE}.spec.{kind}", rule, written_as(spec[kind]), "write a list, or remove it")


def name_of(entry: Mapping[str, Any]) -> str:
    """The name of an entry of a list, of whatever type it is."""
    return str(entry.get("name"))


def written_as(value: Any) -> str:
    """A value as `shown` has it, and null, which is meant here and not absent."""
    return "null" if value is None else shown(value)


def containers(template: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """The containers of a template: list, place in it, container."""
    for kind in CONTAINER_LISTS:
        for place, container in enumerate(entries(mapping(template.get("spec")).get(kind))):
            yield kind, place, container
