"""What pods ask for, counted as the scheduler counts it; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.names import WORKER_CONTAINER
from dltrain.overlay import overlay
from dltrain.pod_security import entries, mapping
from dltrain.quantities import quantity

Object = Mapping[str, Any]
Amounts = Mapping[str, Decimal]
"""Resource -> how much of it."""
ENDED: Final = ("Succeeded", "Failed")


def worker_spec(job: DLTrainJob, ranges: Sequence[Object] = ()) -> Object:
    """What the scheduler reads of the spec of a job's pods, which are all alike.

    Args:
        job: the job, its profile laid under it.
        ranges: the LimitRanges of its namespace, which give defaults to containers.
    """
    worker = {"name": WORKER_CONTAINER, "resources": job.spec.workers.resources.to_dict()}
    name = job.spec.scheduling.priority_class_name
    ours = {"containers": [worker], **({"priorityClassName": name} if name else {})}
    spec = overlay(ours, mapping(job.spec.workers.template.get("spec")))
    return {
        **spec,
        **{kind: with_defaults(spec[kind], ranges) for kind in ("containers", "initContainers") if kind in spec},
    }


def with_defaults(containers: Any, ranges: Sequence[Object]) -> list[Object]:
    """Containers with what the LimitRanges of their namespace give to those that leave it open.

    A limit of the container's own counts as its request before a default does.
    """
    rules = [rule for each in ranges for rule in each["spec"]["limits"] if rule["type"] == "Container"]
    limits = {name: value for rule in rules for name, value in rule.get("default", {}).items()}
    requests = {name: value for rule in rules for name, value in rule.get("defaultRequest", {}).items()}
    found: list[Object] = []
    for container in entries(containers):
        own = mapping(container.get("resources"))
        of_own = mapping(own.get("limits"))
        given = {
            "limits": {**limits, **of_own},
            "requests": {**requests, **of_own, **mapping(own.get("requests"))},
        }
        found.append({**container, "resources": given})
    return found


def requested(container: Object) -> Amounts:
    """What a container requests: a limit counts as a request where none is written."""
    resources = mapping(container.get("resources"))
    return amounts({**mapping(resources.get("limits")), **mapping(resources.get("requests"))})


def limited(container: Object) -> Amounts:
    """The limits of a container."""
    return amounts(mapping(mapping(container.get("resources")).get("limits")))


def amounts(resources: Object) -> Amounts:
    """A list of resources, as objects have it, in numbers."""
    return {name: quantity(value) for name, value in resources.items()}


def total(spec: Object, of: Callable[[Object], Amounts]) -> Amounts:
    """What a pod comes to: its containers together, or what its start needs if that is more; and its overhead.

    Containers that run before the others count one by one, and those of them that stay (sidecars) with all that
    follow. What the pod says for itself as a whole counts instead.
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers

    Args:
        spec: the pod's spec.
        of: what to count of a container: requested or limited.
    """
    running: Amounts = {}
    peak: Amounts = {}
    for container in entries(spec.get("initContainers")):
        beside = added(running, of(container))
        running = beside if container.get("restartPolicy") == "Always" else running
        peak = larger(peak, beside)
    for container in entries(spec.get("containers")):
        running = added(running, of(container))
    return added({**larger(peak, running), **of(spec)}, amounts(mapping(spec.get("overhead"))))


def added(first: Amounts, second: Amounts) -> Amounts:
    """The sum."""
    return {name: first.get(name, Decimal(0)) + second.get(name, Decimal(0)) for name in {**first, **second}}


def larger(first: Amounts, second: Amounts) -> Amounts:
    """The larger of the two of each resource."""
    return {name: max(first.get(name, Decimal(0)), second.get(name, Decimal(0))) for name in {**first, **second}}


def has_ended(pod: Object) -> bool:
    """Whether a pod holds nothing any more."""
    return mapping(pod.get("status")).get("phase") in ENDED
