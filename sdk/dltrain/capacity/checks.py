"""What keeps a job from starting now, as findings: nodes, quotas, and what it names; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.capacity.nodes import Node, asked_of_node, domains, nodes_of, refusal, room, scarce
from dltrain.capacity.pods import Amounts, has_ended
from dltrain.capacity.quotas import Share, applies, shares, unsaid
from dltrain.doctor.control import some
from dltrain.doctor.finding import Finding, fail, ok, warn
from dltrain.doctor.look import Facts
from dltrain.doctor.nodes import name_of
from dltrain.names import JOB_LABEL
from dltrain.pod_security import mapping
from dltrain.quantities import quantity_text

Object = Mapping[str, Any]
ADMINISTRATOR: Final = "let an administrator run this"
ROOM: Final = "wait for room, ask for less, or add nodes; an autoscaler adds them when the job waits"
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Case:
    """A job, and the cluster that it is to run in."""

    job: DLTrainJob
    """With its profile laid under it."""
    spec: Object
    """Of each of its pods."""
    facts: Facts

    @property
    def wanted(self) -> int:
        """How many pods the job has."""
        return self.job.spec.workers.replicas

    @property
    def least(self) -> int:
        """With how many of them it starts."""
        return self.job.spec.elastic.min_replicas if self.job.spec.elastic else self.wanted

    @property
    def priority(self) -> str:
        """The PriorityClass of the pods: what they name, else the cluster's default; empty for none."""
        classes = self.facts.objects("priorityClasses")
        default = next((name_of(one) for one in classes if one.get("globalDefault")), "")
        return str(self.spec.get("priorityClassName") or default)

    def judged(self, check: str, count: int, said: str, remedy: str) -> Finding:
        """A finding by the number of pods that find room."""
        if count >= self.wanted:
            return ok(check, said)
        if count >= self.least:
            return warn(check, f"{said}; it is elastic and starts with {self.least}", remedy)
        return fail(check, said, remedy)


def nodes(case: Case) -> Iterator[Finding]:
    """Whether all pods find room on the nodes, and if not, what is short and where."""
    if why := case.facts.unread("nodes"):
        yield warn("nodes", f"cannot be read: {why}", ADMINISTRATOR)
        return
    if why := case.facts.unread("pods"):
        yield warn("nodes", f"counted as empty, for pods cannot be read: {why}", ADMINISTRATOR)
    found = nodes_of(case.facts.objects("nodes"), case.facts.objects("pods"))
    key, asked = case.job.spec.scheduling.topology_key, asked_of_node(case.spec)
    refused = {node.name: refusal(node, case.spec, key) for node in found}
    places = [(node, places_on(node, case.spec, asked)) for node in found if not refused[node.name]]
    by_domain = domains(places, key)
    most = max(by_domain.values(), default=0)
    yield case.judged("nodes", most, room_text(case.wanted, places, by_domain, key), ROOM)
    if most < case.wanted:
        yield from shortages(places, asked)
        yield from refusals(refused)
    elif poor := [name for name, each in sorted(by_domain.items()) if 0 < each < case.least]:
        said = f"{some(poor)} has not room for all, and the first pod may be placed there"
        yield warn("topology", said, f"choose one with nodeSelector {key}, or set runPolicy.startupDeadlineSeconds")
    yield from unjudged(case.spec)


def places_on(node: Node, spec: Object, asked: Amounts) -> int:
    """How many pods a node has room for: those that share its network would meet at the control port."""
    return min(room(asked, node.free), 1 if spec.get("hostNetwork") else room(asked, node.free))


def room_text(
    wanted: int, places: Sequence[tuple[Node, int]], by_domain: Mapping[str, int], topology_key: str | None
) -> str:
    """Where there is room for how many pods."""
    most = max(by_domain.values(), default=0)
    fits = f"all {wanted} pods fit" if wanted > 1 else "the pod fits"
    head = fits if most >= wanted else f"room for {most} of {wanted} pod{'s' * (wanted > 1)}"
    if topology_key:
        each = [f"{name} has room for {by_domain[name]}" for name in sorted(by_domain, key=lambda one: -by_domain[one])]
        return (
            f"{head} in one {topology_key}: {some(each)}" if each else f"{head}: no node with {topology_key} takes it"
        )
    each = [f"{count} on {node.name}" for node, count in sorted(places, key=lambda one: -one[1]) if count]
    return f"{head}: {some(each)}" if each else head


def shortages(places: Sequence[tuple[Node, int]], asked: Amounts) -> Iterator[Finding]:
    """The resources that run out, and on which nodes."""
    short: dict[str, list[Node]] = defaultdict(list)
    for node, _ in places:
        for resource in scarce(asked, node.free):
            short[resource].append(node)
    for resource, where in sorted(short.items()):
        each = [f"{node.name} has {of_node(node, resource)} free" for node in where]
        said = f"a pod asks for {quantity_text(resource, asked[resource])} {resource}: {some(each)}"
        large = any(node.offers.get(resource, 0) >= asked[resource] for node in where)
        yield warn(
            "nodes",
            said,
            "wait until pods there end" if large else "no node is that large: ask for less, or add larger ones",
        )


def of_node(node: Node, resource: str) -> str:
    """How much of a resource is free on a node."""
    free, offered = (of.get(resource, Decimal(0)) for of in (node.free, node.offers))
    return f"{quantity_text(resource, max(free, Decimal(0)))} of {quantity_text(resource, offered)}"


def refusals(refused: Mapping[str, str]) -> Iterator[Finding]:
    """The nodes that take no pod of the job, by why."""
    names: dict[str, list[str]] = defaultdict(list)
    for node, why in refused.items():
        if why:
            names[why].append(node)
    for why, where in sorted(names.items()):
        yield warn("nodes", f"{why}: {some(where)}", REMEDIES[why.partition(" ")[0]])


REMEDIES: Final = {
    "taint": "tolerate it in the profile or in workers.template, if the job may run there",
    "cordoned": "kubectl uncordon NODE, once it may take pods again",
    "not": "kubectl describe node NODE",
    "no": "label the nodes, or change nodeSelector or topologyKey, if the job may run there",
    "outside": "change the affinity in the profile or in workers.template, if the job may run there",
}
"""By how a refusal begins."""


def unjudged(spec: Object) -> Iterator[Finding]:
    """What the scheduler looks at besides, and this does not."""
    affinity = mapping(spec.get("affinity"))
    found = [name for name in ("topologySpreadConstraints", "resourceClaims", "nodeName") if spec.get(name)]
    found += [name for name in ("podAffinity", "podAntiAffinity") if mapping(affinity.get(name)).get(REQUIRED)]
    if found:
        yield warn("nodes", f"not looked at: {', '.join(found)} of the pod template", "expect room for fewer pods")


def quotas(case: Case) -> Iterator[Finding]:
    """Whether the quotas of the namespace leave enough."""
    if why := case.facts.unread("quotas"):
        yield warn("quota", f"cannot be read: {why}", ADMINISTRATOR)
    for quota in case.facts.objects("quotas"):
        if applies(quota, case.spec, case.priority):
            yield from quota_findings(case, quota)


def quota_findings(case: Case, quota: Object) -> Iterator[Finding]:
    """What one quota leaves."""
    name, found = name_of(quota), shares(quota, case.spec)
    if lacking := list(unsaid(quota, case.spec)):
        said = f"{name} takes only pods whose every container says {', '.join(lacking)}"
        yield fail("quota", said, "write it in workers.resources")
    for share in found:
        if not share.enough_for(case.wanted):
            count = next(pods for pods in range(case.wanted, -1, -1) if pods == 0 or share.enough_for(pods))
            yield case.judged("quota", count, f"{name}: {share_text(share, case.wanted)}", quota_remedy(share, case))
    if not lacking and all(share.enough_for(case.wanted) for share in found):
        yield ok("quota", f"{name} leaves enough")


def share_text(share: Share, wanted: int) -> str:
    """What is left and what is wanted of a quota."""
    needed, left, hard = (quantity_text(share.name, each) for each in (share.needed(wanted), share.left, share.hard))
    return f"{left} of {hard} {share.name} are left, and the job takes {needed}"


def quota_remedy(share: Share, case: Case) -> str:
    """What to do about a quota that leaves too little."""
    if share.needed(case.least) > share.hard:
        return "ask for less, or let an administrator raise it"
    return "wait until other jobs end, or let an administrator raise it"


def priority(case: Case) -> Iterator[Finding]:
    """Whether there is the PriorityClass that the pods name."""
    name, why = case.spec.get("priorityClassName"), case.facts.unread("priorityClasses")
    if not name:
        return
    if why:
        yield warn("priority", f"PriorityClasses cannot be read: {why}", ADMINISTRATOR)
    elif name in map(name_of, case.facts.objects("priorityClasses")):
        yield ok("priority", f"PriorityClass {name} is there")
    else:
        yield fail("priority", f"there is no PriorityClass {name}", "name another, or let an administrator create it")


def predecessor(case: Case) -> Iterator[Finding]:
    """Whether a job of this name has pods already, which are counted like all others."""
    for pod in case.facts.objects("pods"):
        metadata = pod["metadata"]
        is_own = mapping(metadata.get("labels")).get(JOB_LABEL) == case.job.name
        if is_own and metadata.get("namespace") == case.facts.namespace and not has_ended(pod):
            said = "a job of this name has pods, which count as others' here"
            yield warn("job", said, f"look at it: dltrain status {case.job.name}; or choose another name")
            return


def suspended(case: Case) -> Iterator[Finding]:
    """Whether the job waits to be resumed."""
    if case.job.spec.run_policy.suspend:
        yield warn("job", "runPolicy.suspend is true: it gets no pods", f"dltrain resume {case.job.name or 'NAME'}")


CHECKS: Final[Sequence[Callable[[Case], Iterator[Finding]]]] = (nodes, quotas, priority, predecessor, suspended)
