"""Checks of the control plane: server, contract, operator, rights, namespace; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import dltrain
from dltrain.api.crd import custom_resource_definition
from dltrain.doctor.finding import Finding, fail, ok, warn
from dltrain.doctor.look import OPERATORS, Facts, Object, Unknown

OLDEST: Final = (1, 31)
"""The oldest Kubernetes that dltrain runs on."""
INSTALL: Final = "install dltrain (docs/install.md, docs/helm.md)"
SHOWN: Final = 3
ENFORCE: Final = "pod-security.kubernetes.io/enforce"


def server(facts: Facts) -> Iterator[Finding]:
    """Whether the API server answers, and is new enough."""
    if isinstance(facts.version, Unknown):
        yield fail("API server", facts.version.why, "look at the kubeconfig, its context and the network")
        return
    text = str(facts.version.get("gitVersion", "unknown"))
    found = re.match(r"v(\d+)\.(\d+)", text)
    if found and tuple(map(int, found.groups())) >= OLDEST:
        yield ok("API server", f"Kubernetes {text}")
    else:
        wanted = ".".join(map(str, OLDEST))
        yield fail("API server", f"Kubernetes {text}, and dltrain needs {wanted}", "upgrade the cluster")


def definition(facts: Facts) -> Iterator[Finding]:
    """Whether the cluster knows jobs at all."""
    if facts.definition is None:
        yield fail("DLTrainJob", "the cluster does not know DLTrainJobs", INSTALL)


def contract(facts: Facts) -> Iterator[Finding]:
    """Whether the cluster knows the jobs that this client writes."""
    if isinstance(facts.definition, Unknown):
        remedy = "let an administrator run this, or try `dltrain submit --dry-run`"
        yield warn("DLTrainJob", f"cannot be read: {facts.definition.why}", remedy)
        return
    if facts.definition is None:
        yield from definition(facts)
        return
    ours, theirs = fields(custom_resource_definition()), fields(facts.definition)
    if missing := sorted(ours - theirs):
        remedy = "upgrade dltrain in the cluster, or use the client of its version"
        yield warn("DLTrainJob", f"the cluster has an older contract, without {some(missing)}", remedy)
    if more := sorted(theirs - ours):
        remedy = f"upgrade this client, which is {dltrain.__version__}"
        yield warn("DLTrainJob", f"the cluster has a newer contract, with {some(more)}", remedy)
    if ours == theirs:
        yield ok("DLTrainJob", f"the contract of this client, {dltrain.__version__}")


def fields(found: Object) -> frozenset[str]:
    """The fields of a job that a CustomResourceDefinition has, as paths."""
    versions = [each for each in found.get("spec", {}).get("versions", ()) if each.get("served")]
    schema = versions[0].get("schema", {}).get("openAPIV3Schema", {}) if versions else {}
    return frozenset(paths(schema.get("properties", {}).get("spec", {}), "spec"))


def paths(schema: Mapping[str, Any], above: str) -> Iterator[str]:
    """The fields below a schema."""
    for name, below in schema.get("properties", {}).items():
        yield f"{above}.{name}"
        yield from paths(below, f"{above}.{name}")
    if "items" in schema:
        yield from paths(schema["items"], f"{above}[]")


def some(names: list[str]) -> str:
    """The first of some names."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def operator(facts: Facts) -> Iterator[Finding]:
    """Whether an operator serves jobs."""
    if why := facts.unread(OPERATORS):
        yield warn("operator", f"cannot be seen: {why}", "let an administrator run this")
        return
    found = facts.objects(OPERATORS)
    if not found:
        yield fail("operator", "there is none", INSTALL)
    for one in found:
        name = f"{one['metadata'].get('namespace')}/{one['metadata']['name']}"
        wanted, ready = one.get("spec", {}).get("replicas", 1), one.get("status", {}).get("readyReplicas", 0)
        if not ready:
            remedy = f"kubectl -n {one['metadata'].get('namespace')} describe deployment {one['metadata']['name']}"
            yield fail("operator", f"{name}: none of {wanted} replicas is ready", remedy)
        elif ready < wanted:
            yield warn("operator", f"{name}: {ready} of {wanted} replicas are ready", "look at the other's events")
        else:
            yield ok("operator", f"{name}: {ready} of {wanted} replicas are ready")


def rights(facts: Facts) -> Iterator[Finding]:
    """Whether whoever asks may do what the client does."""
    unread = next((each.why for each in facts.rights.values() if isinstance(each, Unknown)), "")
    if unread:
        yield warn("your rights", f"cannot be asked for: {unread}", "kubectl auth can-i --list")
        return
    lacking = [right for right, has in facts.rights.items() if not has]
    remedy = f"let an administrator bind the ClusterRole edit (chart: rbac.userRoles) to you in {facts.namespace}"
    for needed in (True, False):
        if found := [right for right in lacking if right.needed is needed]:
            purposes = ", ".join(dict.fromkeys(right.purpose for right in found))
            said = f"you may not {', '.join(right.text for right in found)} (for {purposes})"
            yield fail("your rights", said, remedy) if needed else warn("your rights", said, remedy)
    if not lacking:
        yield ok("your rights", f"everything the client does, in namespace {facts.namespace}")


def space(facts: Facts) -> Iterator[Finding]:
    """Whether the namespace is there, and guards its pods."""
    if facts.space is None:
        yield fail("namespace", f"{facts.namespace} does not exist", f"kubectl create namespace {facts.namespace}")
        return
    if isinstance(facts.space, Unknown):
        yield warn("namespace", f"{facts.namespace} cannot be read: {facts.space.why}", "choose another with -n")
        return
    level = facts.space.get("metadata", {}).get("labels", {}).get(ENFORCE)
    if level == "restricted":
        yield ok("namespace", f"{facts.namespace} takes restricted pods only, as workers are")
    else:
        remedy = f"kubectl label namespace {facts.namespace} {ENFORCE}=restricted"
        yield warn("namespace", f"{facts.namespace} enforces Pod Security {level or 'nowhere'}", remedy)
    yield from full_quotas(facts)


def full_quotas(facts: Facts) -> Iterator[Finding]:
    """Quotas of which nothing is left."""
    for quota in facts.objects("quotas"):
        hard, used = quota.get("status", {}).get("hard", {}), quota.get("status", {}).get("used", {})
        if full := [name for name, limit in hard.items() if used.get(name) == limit]:
            said = f"{quota['metadata']['name']} has nothing left of {', '.join(sorted(full))}"
            yield warn("quota", said, "wait for jobs to end, or let an administrator raise it")
