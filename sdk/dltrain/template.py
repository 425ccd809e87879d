"""What the pod template of a job may not do, unless its profile allows it: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from dltrain.api.profile import HostPath, Permissions, ProfileSpec
from dltrain.errors import Problem
from dltrain.names import WORKER_CONTAINER
from dltrain.overlay import overlay
from dltrain.pod_security import CONTAINER_LISTS, Finding, entries, exceeds, findings, host_paths, mapping

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
    allow, pod = given.allow, overlay(BARE, template)
    lifted = [finding for finding in findings(pod) if exceeds(finding.needs, allow.pod_security)]
    problems = [security_problem(finding, pod, template, allow) for finding in lifted]
    if allow.pod_security != "privileged":
        problems += [*host_path_problems(template, allow), *touching(template, given)]
    return sorted(set(problems), key=lambda problem: (problem.path, problem.rule))


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


def host_path_problems(template: Mapping[str, Any], allow: Permissions) -> Iterator[Problem]:
    """The folders of nodes that a template mounts and may not, or may read only."""
    for place, name, path in host_paths(template):
        allowed = permitted(path, allow.host_paths)
        if allowed is None:
            remedy = "mount a claim, or use a DLTrainProfile whose allow.hostPaths has it"
            yield Problem(
                f"{HERE}.spec.volumes[{place}].hostPath.path", "must not be a folder of the node", f'"{path}"', remedy
            )
        elif not allowed.writable:
            yield from written(template, {name}, f"for its DLTrainProfile does not allow to write to {allowed.path}")


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
            if mount.get("name") in volumes and mount.get("readOnly") is not True:
                path = f"{HERE}.spec.{kind}[{place}].volumeMounts[{spot}].readOnly"
                yield Problem(path, f"must be true, {why}", remedy="write readOnly: true")


def touching(template: Mapping[str, Any], profile: ProfileSpec) -> Iterator[Problem]:
    """What a template does to containers and folders of nodes that are its profile's and not its own."""
    theirs = {container.get("name") for _, _, container in containers(profile.template)} - {WORKER_CONTAINER}
    for kind, place, container in containers(template):
        if container.get("name") in theirs:
            rule = "must not be a container of the DLTrainProfile"
            yield Problem(
                f"{HERE}.spec.{kind}[{place}].name",
                rule,
                f'"{container["name"]}"',
                "give it another name, or remove it",
            )
    folders = {name for _, name, _ in host_paths(profile.template)}
    yield from written(template, folders, "for the volume is a folder of the node")


def containers(template: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """The containers of a template: list, place in it, container."""
    for kind in CONTAINER_LISTS:
        for place, container in enumerate(entries(mapping(template.get("spec")).get(kind))):
            yield kind, place, container
