"""A job held against a cluster as it is now: what the job becomes there, and what is to be said of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dltrain.api.job import DLTrainJob
from dltrain.capacity.checks import CHECKS, Case
from dltrain.capacity.pods import worker_spec
from dltrain.capacity.queue import queue, queues
from dltrain.doctor import control
from dltrain.doctor.examine import with_profile
from dltrain.doctor.finding import Finding
from dltrain.doctor.job import claims
from dltrain.doctor.look import Facts, Unknown, listed, look
from dltrain.effects import Program
from dltrain.errors import ClusterError
from dltrain.resolution import in_namespace

ALSO: Final = {
    "pods": ("/api/v1/pods", {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}),
    "priorityClasses": ("/apis/scheduling.k8s.io/v1/priorityclasses", {}),
    "limitRanges": ("/api/v1/namespaces/{namespace}/limitranges", {}),
}
"""What is read besides what the doctor reads."""
READ: Final = ("profiles", "nodes", "quotas", "claims", *ALSO)
"""The lists that the verdict depends on."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What becomes of a job in a cluster as it is now."""

    job: DLTrainJob
    """With its profile laid under it, as the operator does."""
    findings: Sequence[Finding]
    """What was looked at; those of level fail keep the job from starting now."""
    unread: Sequence[str] = ()
    """The lists of objects that could not be read."""

    @property
    def fits(self) -> bool:
        """Whether nothing that could be read keeps the job from starting now."""
        return not self.blocked_by

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """The checks that failed, each once."""
        return tuple(dict.fromkeys(each.check for each in self.findings if each.level == "fail"))

    @property
    def verdict(self) -> str:
        """Whether it fits, in a few words."""
        if self.blocked_by:
            return f"no: {', '.join(self.blocked_by)}"
        return f"yes, as far as is known: {', '.join(self.unread)} cannot be read" if self.unread else "yes"


def planned(namespace: str, wanted: DLTrainJob) -> Program[JobPlan]:
    """Read a cluster, with the rights of whoever asks, and hold a job against it; nothing is changed.

    Args:
        namespace: where the job goes unless it names one itself.
        wanted: the job.

    Raises:
        ClusterError: the cluster is out of reach.
    """
    facts = yield from look(wanted.namespace or namespace)
    if isinstance(facts.version, Unknown):
        raise ClusterError(facts.version.why)
    lists = dict(facts.lists)
    for name, (path, query) in ALSO.items():
        lists[name] = yield from listed(path.format(namespace=facts.namespace), query)
    facts = replace(facts, lists=lists)
    found = plan_of(wanted, facts)
    waits_in = found.job.spec.scheduling.queue_name
    if waits_in is None:
        return found
    local = yield from queues(facts.namespace)
    return replace(found, findings=(*found.findings, *queue(waits_in, facts.namespace, local)))


def plan_of(wanted: DLTrainJob, facts: Facts) -> JobPlan:
    """Hold a job against what was read of a cluster.

    Args:
        wanted: the job; one that has its profile already keeps it.
        facts: of the cluster.
    """
    wanted = in_namespace(wanted, facts.namespace)
    whole, said = (wanted, []) if wanted.status.profile else with_profile(wanted, facts)
    checks = (control.definition, control.operator, control.rights, control.space)
    found = [finding for check in checks for finding in check(facts) if finding.level == "fail"] + said
    if all(each.level != "fail" for each in said):  # else what the job asks for is not known
        case = Case(whole, worker_spec(whole, facts.objects("limitRanges")), facts)
        found += [finding for check in CHECKS for finding in check(case)]
        found += claims(whole, facts)
    return JobPlan(whole, found, [name for name in READ if facts.unread(name)])
