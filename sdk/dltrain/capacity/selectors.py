"""Whether a node takes a pod, by labels and taints, as the scheduler decides it; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dltrain.pod_security import entries, mapping, words

Object = Mapping[str, Any]
REPELLING: Final = ("NoSchedule", "NoExecute")
"""The effects of taints that keep pods away; PreferNoSchedule does not."""


def is_tolerated(taint: Object, tolerations: Sequence[Object]) -> bool:
    """Whether a pod with these tolerations may run on a node with this taint."""
    return taint.get("effect") not in REPELLING or any(tolerates(each, taint) for each in tolerations)


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration is one of this taint."""
    if toleration.get("effect") not in {None, "", taint.get("effect")}:
        return False
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if key not in {"", taint.get("key")}:
        return False
    if operator == "Exists":
        return True
    return bool(key) and operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")


def taint_text(taint: Object) -> str:
    """A taint as kubectl has it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def meets_affinity(spec: Object, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node meets the required node affinity of a pod's spec: one of its terms, each whole."""
    affinity = mapping(mapping(spec.get("affinity")).get("nodeAffinity"))
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(meets_term(term, name, labels) for term in entries(mapping(required).get("nodeSelectorTerms")))


def meets_term(term: Object, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node meets all of a term; an empty one is met by none."""
    asked = [(each, labels) for each in entries(term.get("matchExpressions"))]
    asked += [(each, {"metadata.name": name}) for each in entries(term.get("matchFields"))]
    return bool(asked) and all(meets(expression, values) for expression, values in asked)


def meets(expression: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels meet one expression."""
    found, operator = labels.get(str(expression.get("key"))), OPERATORS.get(str(expression.get("operator")))
    return operator is not None and operator(found, words(expression.get("values")))


def compares(sign: int) -> Callable[[str | None, Sequence[str]], bool]:
    """Whether a label is a whole number above (1) or below (-1) the one asked for."""

    def holds(found: str | None, values: Sequence[str]) -> bool:
        numbers = [found or "", *values]
        if len(numbers) != 2 or not all(each.lstrip("-").isdecimal() for each in numbers):
            return False
        return sign * (int(numbers[0]) - int(numbers[1])) > 0

    return holds


OPERATORS: Final[Mapping[str, Callable[[str | None, Sequence[str]], bool]]] = {
    "In": lambda found, values: found in values,
    "NotIn": lambda found, values: found not in values,
    "Exists": lambda found, _: found is not None,
    "DoesNotExist": lambda found, _: found is None,
    "Gt": compares(1),
    "Lt": compares(-1),
}
"""What an expression asks of a label, None for one that is not there."""
