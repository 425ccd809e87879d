"""What a pod tells the scheduler and a queue: its neighbours, its priority, the group it is admitted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.overlay import overlay
from dltrain_operator.children.metadata import Manifest
from dltrain_operator.kueue import GROUP_LABEL, TOTAL_ANNOTATION

REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def placement(job: DLTrainJob) -> Manifest:
    """The parts of a pod's spec that say where it may run."""
    return {"affinity": {**spread(job), **together(job)}, **priority(job), **shared_claims(job)}


def priority(job: DLTrainJob) -> Manifest:
    """The job's PriorityClass, if it names one; as a pod and a PodGroup have it."""
    name = job.spec.scheduling.priority_class_name
    return {"priorityClassName": name} if name else {}


def shared_claims(job: DLTrainJob) -> Manifest:
    """The claims for devices that all workers share, as a pod and a PodGroup have them; equal, else they are not one.

    KEP-5729.
    """
    claims = [
        {"name": one.name, "resourceClaimName": one.claim}
        if one.claim
        else {"name": one.name, "resourceClaimTemplateName": one.template}
        for one in job.spec.scheduling.shared_claims
    ]
    return {"resourceClaims": claims} if claims else {}


def spread(job: DLTrainJob) -> Manifest:
    """A wish, not a demand, that the workers of a job run on different nodes."""
    preference = {"weight": 100, "podAffinityTerm": {**own_pods(job), "topologyKey": "kubernetes.io/hostname"}}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}


def together(job: DLTrainJob) -> Manifest:
    """The demand that all workers run where one node label has one value, if the job names a label."""
    key = job.spec.scheduling.topology_key
    if key is None:
        return {}
    term = {**own_pods(job), "topologyKey": key}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def avoiding(pod: Manifest, nodes: Sequence[str]) -> Manifest:
    """A pod that keeps away from some nodes, whatever else it asks of one; an annotation says that it does.

    The terms of a required node affinity are alternatives, so each of them gets the demand.
    """
    if not nodes:
        return pod
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    required = pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get(REQUIRED, {})
    terms = required.get("nodeSelectorTerms", [{}])
    stricter = [{**term, "matchFields": [*term.get("matchFields", []), *fields]} for term in terms]
    return overlay(
        pod,
        {
            "metadata": {"annotations": {names.AVOIDED_NODES_ANNOTATION: ",".join(nodes)}},
            "spec": {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": stricter}}}},
        },
    )


def own_pods(job: DLTrainJob) -> Manifest:
    """What selects the pods of a job."""
    return {"labelSelector": {"matchLabels": {names.JOB_LABEL: job.name}}}


def queue_metadata(job: DLTrainJob) -> Manifest:
    """The labels and annotations by which Kueue admits the workers as one plain-pod group; none without a queue.

    Kueue's webhook adds a scheduling gate to each pod and takes it away from all of them when the quota suffices; a
    group that is evicted has its pods deleted, and those that the operator makes in their places wait again.
    https://kueue.sigs.k8s.io/docs/tasks/run/plain_pods/
    """
    queue = job.spec.scheduling.queue_name
    if queue is None:
        return {}
    return {
        "labels": {
            names.QUEUE_LABEL: queue,
            GROUP_LABEL: f"{job.name}-{job.metadata.uid[:8]}",
        },
        "annotations": {TOTAL_ANNOTATION: str(job.spec.workers.replicas)},
    }
