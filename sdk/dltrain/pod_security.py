"""What a pod has that Kubernetes' Pod Security Standards forbid, as of Kubernetes 1.37: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from dltrain.api.wording import shown

Level = Literal["restricted", "baseline", "privileged"]
LEVELS: Final[tuple[Level, ...]] = ("restricted", "baseline", "privileged")
"""From the strictest to the one that allows everything."""
CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")
RESTRICTED_VOLUMES: Final = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
        *("image", "persistentVolumeClaim", "projected", "secret"),
    }
)
BASELINE_CAPABILITIES: Final = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
        *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        *(f"net.ipv4.ip_{name}" for name in ("local_port_range", "unprivileged_port_start", "local_reserved_ports")),
        *(f"net.ipv4.tcp_{name}" for name in ("syncookies", "keepalive_time", "fin_timeout", "keepalive_intvl")),
        *(f"net.ipv4.tcp_{name}" for name in ("keepalive_probes", "rmem", "wmem", "slow_start_after_idle")),
        *("net.ipv4.ping_group_range", "net.ipv4.tcp_notsent_lowat"),
    }
)
SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
CONFINED: Final = frozenset({"RuntimeDefault", "Localhost"})
APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a level forbids."""

    path: str
    """The field, as in `spec.hostNetwork`."""
    rule: str
    """What must hold."""
    value: str
    """What was found."""
    needs: Level
    """The strictest level that allows it."""


ROOT_OF_POD: Final = Finding("spec.securityContext.runAsUser", "must not be 0", "0", "baseline")


def findings(pod: Mapping[str, Any]) -> list[Finding]:
    """All that a pod has which the level restricted forbids, each once; folders of the node are told by host_paths.

    Args:
        pod: a pod, or a pod template, as JSON values; what has a wrong type is left to the API server to refuse.
    """
    return list(dict.fromkeys(finding for _, finding in owned_findings(pod)))


def owned_findings(pod: Mapping[str, Any]) -> Iterator[tuple[str, Finding]]:
    """All of `findings`, each with the name of the container that has it, which may have it from its pod.

    The name is empty for what the pod as a whole has.
    """
    spec, annotations = mapping(pod.get("spec")), mapping(mapping(pod.get("metadata")).get("annotations"))
    for finding in (*of_annotations(annotations), *of_pod(spec)):
        yield "", finding
    for kind in CONTAINER_LISTS:
        for place, container in enumerate(entries(spec.get(kind))):
            for finding in of_container(f"spec.{kind}[{place}]", container, mapping(spec.get("securityContext"))):
                yield str(container.get("name")), finding


def exceeds(needs: Level, allowed: Level) -> bool:
    """Whether a level is laxer than the one that is allowed."""
    return LEVELS.index(needs) > LEVELS.index(allowed)


def host_paths(pod: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """The folders of the node that a pod mounts: place in `spec.volumes`, name of the volume, path."""
    for place, volume in enumerate(entries(mapping(pod.get("spec")).get("volumes"))):
        if volume.get("hostPath") is not None:
            yield place, str(volume.get("name")), str(mapping(volume["hostPath"]).get("path", ""))


def of_annotations(annotations: Mapping[str, Any]) -> Iterator[Finding]:
    """Of AppArmor as Kubernetes had it before 1.30."""
    for name, value in annotations.items():
        if name.startswith(APPARMOR) and not (value in ("", "runtime/default") or str(value).startswith("localhost/")):
            yield lax(f"metadata.annotations[{name}]", "must be runtime/default or localhost/PROFILE", value)


def of_pod(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Of a pod as a whole."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield lax(f"spec.{name}", "must not be true", spec[name])
    context = mapping(spec.get("securityContext"))
    yield from of_context("spec.securityContext", context)
    if context.get("runAsUser") == 0:
        yield ROOT_OF_POD
    for place, sysctl in enumerate(entries(context.get("sysctls"))):
        if str(sysctl.get("name")) not in SAFE_SYSCTLS:
            yield lax(f"spec.securityContext.sysctls[{place}].name", "must be a safe sysctl", sysctl.get("name"))
    yield from of_volumes(spec)


def of_volumes(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Of the kinds of a pod's volumes."""
    for place, volume in enumerate(entries(spec.get("volumes"))):
        for kind in volume.keys() - RESTRICTED_VOLUMES - {"name", "hostPath"}:
            if volume[kind] is not None:
                yield Finding(f"spec.volumes[{place}].{kind}", "must be another kind of volume", "", "baseline")


def of_context(path: str, context: Mapping[str, Any]) -> Iterator[Finding]:
    """Of what the security contexts of pods and of containers have in common."""
    linux, windows = mapping(context.get("seLinuxOptions")), mapping(context.get("windowsOptions"))
    if linux.get("type", "") not in tuple(SELINUX_TYPES):  # lists are not hashed
        yield lax(f"{path}.seLinuxOptions.type", "must be a type of containers", linux["type"])
    for name in ("user", "role"):
        if linux.get(name):
            yield lax(f"{path}.seLinuxOptions.{name}", "must be absent", linux[name])
    if windows.get("hostProcess"):
        yield lax(f"{path}.windowsOptions.hostProcess", "must not be true", windows["hostProcess"])
    armour = mapping(context.get("appArmorProfile")).get("type")
    if armour not in (None, *CONFINED):
        yield lax(f"{path}.appArmorProfile.type", "must be RuntimeDefault or Localhost", armour)
    seccomp = mapping(context.get("seccompProfile")).get("type")
    if seccomp not in (None, *CONFINED):
        yield lax(f"{path}.seccompProfile.type", "must be RuntimeDefault or Localhost", seccomp)


def of_container(path: str, container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[Finding]:
    """Of one container.

    Args:
        path: its place.
        container: the container.
        pod: the security context of its pod.
    """
    context, here = mapping(container.get("securityContext")), f"{path}.securityContext"
    yield from of_context(here, context)
    yield from of_privileges(here, context)
    yield from of_user(here, context, pod)
    yield from of_hosts(path, container)
    for place, port in enumerate(entries(container.get("ports"))):
        if port.get("hostPort"):
            yield lax(f"{path}.ports[{place}].hostPort", "must be absent", port["hostPort"])


def of_privileges(path: str, context: Mapping[str, Any]) -> Iterator[Finding]:
    """Of a container's powers over its machine."""
    if context.get("privileged"):
        yield lax(f"{path}.privileged", "must not be true", context["privileged"])
    if context.get("procMount") not in (None, "", "Default"):
        yield lax(f"{path}.procMount", "must be Default", context["procMount"])
    if context.get("allowPrivilegeEscalation") is not False:
        value = context.get("allowPrivilegeEscalation")
        yield Finding(f"{path}.allowPrivilegeEscalation", "must be false", shown(value), "baseline")
    capabilities = mapping(context.get("capabilities"))
    added, dropped = words(capabilities.get("add")), words(capabilities.get("drop"))
    for name in (name for name in added if name != "NET_BIND_SERVICE"):
        needs: Level = "baseline" if name in BASELINE_CAPABILITIES else "privileged"
        yield Finding(f"{path}.capabilities.add", "must hold NET_BIND_SERVICE at most", shown(name), needs)
    if "ALL" not in dropped:
        yield Finding(f"{path}.capabilities.drop", "must hold ALL", shown(dropped) if dropped else "", "baseline")


def of_user(path: str, context: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[Finding]:
    """Of whom a container runs as and which system calls it may make; what it does not say, its pod says."""
    if first_of(context, pod, "runAsNonRoot") is not True:
        where = path if context.get("runAsNonRoot") is not None else "spec.securityContext"
        yield Finding(f"{where}.runAsNonRoot", "must be true", shown(context.get("runAsNonRoot")), "baseline")
    if first_of(context, pod, "runAsUser") == 0:
        by_pod = context.get("runAsUser") is None
        yield ROOT_OF_POD if by_pod else replace(ROOT_OF_POD, path=f"{path}.runAsUser")
    if not mapping(first_of(context, pod, "seccompProfile")).get("type"):
        rule = "must be RuntimeDefault or Localhost"
        yield Finding("spec.securityContext.seccompProfile.type", rule, "", "baseline")


def of_hosts(path: str, container: Mapping[str, Any]) -> Iterator[Finding]:
    """Of probes and hooks that are sent to another machine."""
    lifecycle = mapping(container.get("lifecycle"))
    handlers = {name: mapping(container.get(name)) for name in PROBES}
    handlers |= {f"lifecycle.{name}": mapping(lifecycle.get(name)) for name in ("postStart", "preStop")}
    for name, handler in handlers.items():
        for kind in ("httpGet", "tcpSocket"):
            if host := mapping(handler.get(kind)).get("host"):
                yield lax(f"{path}.{name}.{kind}.host", "must be absent", host)


def lax(path: str, rule: str, value: Any) -> Finding:
    """What only the level privileged allows."""
    return Finding(path, rule, shown(value), "privileged")


def first_of(context: Mapping[str, Any], pod: Mapping[str, Any], name: str) -> Any:
    """A field of a container's security context, else of its pod's."""
    return pod.get(name) if context.get(name) is None else context[name]


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def entries(value: Any) -> list[Mapping[str, Any]]:
    """A list's entries, empty mappings for those that are something else; none for what is no list."""
    return [mapping(entry) for entry in value] if isinstance(value, list | tuple) else []


def words(value: Any) -> Sequence[str]:
    """A list's entries as texts; none for what is no list."""
    return [str(entry) for entry in value] if isinstance(value, list | tuple) else []
