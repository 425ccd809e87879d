"""The PodGroup by which a scheduler places all workers of a job or none, in the form that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from dltrain.api.job import DLTrainJob
from dltrain.overlay import overlay
from dltrain_operator.children.metadata import Manifest, child_metadata
from dltrain_operator.children.scheduling import priority, shared_claims

GangScheduler = Literal["kubernetes", "volcano", "scheduler-plugins", "none"]
GROUPS: Final[Mapping[GangScheduler, str]] = {
    "kubernetes": "scheduling.k8s.io/v1beta1",
    "volcano": "scheduling.volcano.sh/v1beta1",
    "scheduler-plugins": "scheduling.x-k8s.io/v1alpha1",
}
"""Scheduler -> where its PodGroups are served; the first one that a cluster serves is used."""
COSCHEDULING_LABEL: Final = "scheduling.x-k8s.io/pod-group"
VOLCANO_ANNOTATION: Final = "scheduling.k8s.io/group-name"


def pod_group(job: DLTrainJob, scheduler: GangScheduler) -> Manifest | None:
    """The group of a job's workers; None where nobody reads one, or a worker is alone.

    Kubernetes' own is that of KEP-4671.
    """
    if scheduler == "none" or job.spec.workers.replicas == 1:
        return None
    return {
        "apiVersion": GROUPS[scheduler],
        "kind": "PodGroup",
        "metadata": child_metadata(job, group_name(job)),
        "spec": native_spec(job) if scheduler == "kubernetes" else {"minMember": least_workers(job), **priority(job)},
    }


def in_gang(pod: Manifest, job: DLTrainJob, scheduler: GangScheduler) -> Manifest:
    """A worker's pod as a member of its job's group."""
    return pod if pod_group(job, scheduler) is None else MEMBERS[scheduler](pod, group_name(job))


def group_name(job: DLTrainJob) -> str:
    """The group's name: of this very job, not of an earlier one of the same name."""
    return f"{job.name}-{job.metadata.uid[:8]}"


def least_workers(job: DLTrainJob) -> int:
    """How many workers must fit before any of them is placed: all, or the least that an elastic job runs with."""
    return job.spec.elastic.min_replicas if job.spec.elastic else job.spec.workers.replicas


def native_spec(job: DLTrainJob) -> Manifest:
    """Of Kubernetes' own: preempted as one, unless the job can go on with fewer workers; in one domain."""
    key, least = job.spec.scheduling.topology_key, least_workers(job)
    whole: Manifest = {"disruptionMode": {"all": {}}} if least == job.spec.workers.replicas else {}
    domain = {"schedulingConstraints": {"topology": [{"key": key}]}} if key else {}
    return {"schedulingPolicy": {"gang": {"minCount": least}}, **whole, **domain, **priority(job), **shared_claims(job)}


def shares_template(job: DLTrainJob) -> bool:
    """Whether several workers share what is made from a template: that is for their PodGroup to say."""
    return job.spec.workers.replicas > 1 and any(one.template for one in job.spec.scheduling.shared_claims)


def without_topology(group: Manifest) -> Manifest | None:
    """A group that leaves the topology to the affinity of its pods; None for one that does already.

    API servers take the constraint only with the feature gate TopologyAwareWorkloadScheduling.
    """
    spec = {name: value for name, value in group["spec"].items() if name != "schedulingConstraints"}
    return {**group, "spec": spec} if spec != group["spec"] else None


def native_member(pod: Manifest, group: str) -> Manifest:
    """A member of a group of Kubernetes' own."""
    return overlay(pod, {"spec": {"schedulingGroup": {"podGroupName": group}}})


def volcano_member(pod: Manifest, group: str) -> Manifest:
    """A member of a group of Volcano's, which also schedules it unless its template names another scheduler."""
    member = overlay(pod, {"metadata": {"annotations": {VOLCANO_ANNOTATION: group}}})
    return overlay({"spec": {"schedulerName": "volcano"}}, member)


def coscheduling_member(pod: Manifest, group: str) -> Manifest:
    """A member of a group of scheduler-plugins; which scheduler has the plugin, the template or the profile says."""
    return overlay(pod, {"metadata": {"labels": {COSCHEDULING_LABEL: group}}})


MEMBERS: Final[Mapping[GangScheduler, Callable[[Manifest, str], Manifest]]] = {
    "kubernetes": native_member,
    "volcano": volcano_member,
    "scheduler-plugins": coscheduling_member,
}
