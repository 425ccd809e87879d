"""How many pods of a kind a ResourceQuota leaves room for, counted as the API server counts it; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from dltrain.capacity.pods import Amounts, added, amounts, limited, requested, total
from dltrain.capacity.selectors import meets
from dltrain.names import GROUP, PLURAL
from dltrain.pod_security import entries, mapping, words

Object = Mapping[str, Any]
OBJECTS: Final = ("configmaps", "secrets", "services", "networkpolicies.networking.k8s.io", f"{PLURAL}.{GROUP}")
TAKEN_ONCE: Final = frozenset(f"{prefix}{name}" for prefix in ("", "count/") for name in OBJECTS)
"""What a job, itself included, takes of quotas besides what its pods take, by the names that quotas have for it."""
DEMANDED: Final = ("cpu", "memory")
"""The resources of which every container must say what it needs where a quota limits them."""
PRIORITY: Final = "PriorityClass"


@dataclass(frozen=True, slots=True)
class Share:
    """What a quota leaves of one thing."""

    name: str
    """As the quota has it, such as requests.nvidia.com/gpu."""
    hard: Decimal
    left: Decimal
    each: Decimal
    """What a pod takes of it; or the job, once."""
    once: bool
    """Whether it is taken by the job, however many pods it has."""

    def enough_for(self, pods: int) -> bool:
        """Whether what is left is enough."""
        return self.needed(pods) <= self.left

    def needed(self, pods: int) -> Decimal:
        """What a job of so many pods takes."""
        return self.each * (1 if self.once else pods)


def shares(quota: Object, spec: Object) -> list[Share]:
    """What a quota leaves of all that a job takes of it.

    Args:
        quota: as the API server has it.
        spec: of the job's pods.
    """
    status = mapping(quota.get("status"))
    hard = amounts(mapping(status.get("hard")) or mapping(mapping(quota.get("spec")).get("hard")))
    used = amounts(mapping(status.get("used")))
    demand = {**pod_demand(spec), **dict.fromkeys(TAKEN_ONCE, Decimal(1))}
    return [
        Share(name, hard[name], hard[name] - used.get(name, Decimal(0)), demand[name], name in TAKEN_ONCE)
        for name in sorted(hard.keys() & demand.keys())
        if demand[name]
    ]


def pod_demand(spec: Object) -> Amounts:
    """What a pod takes of a quota, by the names that quotas have for it."""
    requests, limits = total(spec, requested), total(spec, limited)
    of_requests = {f"{prefix}{name}": value for prefix in ("", "requests.") for name, value in requests.items()}
    of_limits = {f"limits.{name}": value for name, value in limits.items()}
    return {**of_requests, **of_limits, "pods": Decimal(1), "count/pods": Decimal(1)}


def unsaid(quota: Object, spec: Object) -> Iterator[str]:
    """What a quota limits and a container of the pod does not say, for which the API server refuses the pod."""
    hard = mapping(mapping(quota.get("spec")).get("hard"))
    containers = [*entries(spec.get("initContainers")), *entries(spec.get("containers"))]
    for prefix, of in (("", requested), ("requests.", requested), ("limits.", limited)):
        for name in DEMANDED:
            if f"{prefix}{name}" in hard and any(name not in of(container) for container in containers):
                yield f"{prefix or 'requests.'}{name}"


def applies(quota: Object, spec: Object, priority: str) -> bool:
    """Whether a quota counts pods of this spec.

    Args:
        quota: as the API server has it.
        spec: the pods'.
        priority: their PriorityClass; empty for none.
    """
    own = mapping(quota.get("spec"))
    scopes: list[Object] = [{"scopeName": name, "operator": "Exists"} for name in words(own.get("scopes"))]
    scopes += entries(mapping(own.get("scopeSelector")).get("matchExpressions"))
    return all(is_in_scope(scope, spec, priority) for scope in scopes)


def is_in_scope(scope: Object, spec: Object, priority: str) -> bool:
    """Whether pods of this spec are in one scope of a quota."""
    if scope.get("scopeName") == PRIORITY:
        return meets({**scope, "key": PRIORITY}, {PRIORITY: priority} if priority else {})
    holds = SCOPES.get(str(scope.get("scopeName")))
    return holds is not None and holds(spec)


def is_best_effort(spec: Object) -> bool:
    """Whether pods ask for no CPU and no memory."""
    asked = added(total(spec, requested), total(spec, limited))
    return not any(asked.get(name) for name in DEMANDED)


SCOPES: Final[Mapping[str, Callable[[Object], bool]]] = {
    "Terminating": lambda spec: spec.get("activeDeadlineSeconds") is not None,
    "NotTerminating": lambda spec: spec.get("activeDeadlineSeconds") is None,
    "BestEffort": is_best_effort,
    "NotBestEffort": lambda spec: not is_best_effort(spec),
}
"""What a pod must be to be counted in a scope; one that is not here counts no pod of ours."""
