"""Laying a partial object over another, as a strategic merge patch does for pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

MERGED_BY: Final = {"containers": "name", "initContainers": "name"}
"""List field -> the key by which its entries are matched, and then merged."""
REPLACED_BY: Final = {
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "resourceClaims": "name",
    "claims": "name",
}
"""List field -> the key by which its entries are matched, and then replaced.

Two entries of one name here may differ in kind (a value and a reference, say), which cannot be merged.
"""


def overlay(base: Mapping[str, Any], over: Mapping[str, Any], *, keep_nulls: bool = False) -> dict[str, Any]:
    """A mapping with another laid over it: mappings merge, null removes, all else replaces.

    Lists replace too, but for those of MERGED_BY and REPLACED_BY, whose entries are matched one by one.

    Args:
        base: what lies below.
        over: what is laid over it.
        keep_nulls: whether the outcome is to be laid over something else, from which the nulls remove then.
    """
    result = dict(base)
    for name, value in over.items():
        if value is not None:
            result[name] = overlay_field(name, result.get(name), value, keep_nulls=keep_nulls)
        elif keep_nulls:
            result[name] = None
        else:
            result.pop(name, None)
    return result


def overlay_field(name: str, base: Any, over: Any, *, keep_nulls: bool) -> Any:
    """One field with another value laid over it."""
    if isinstance(over, Mapping):
        return overlay(base if isinstance(base, Mapping) else {}, over, keep_nulls=keep_nulls)
    if not are_entries(over):
        return over
    entries = base if are_entries(base) else []
    if name in MERGED_BY:
        return overlay_list(entries, over, MERGED_BY[name], partial(overlay, keep_nulls=keep_nulls))
    if name in REPLACED_BY:
        return overlay_list(entries, over, REPLACED_BY[name], lambda _, entry: dict(entry))
    return over


def are_entries(value: Any) -> bool:
    """Whether a value is a list of mappings."""
    return isinstance(value, list | tuple) and all(isinstance(entry, Mapping) for entry in value)


def overlay_list(
    base: Sequence[Mapping[str, Any]],
    over: Sequence[Mapping[str, Any]],
    key: str,
    combine: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """A list whose entries are matched by a key; unmatched entries are appended, and of equal ones the last counts."""
    given = {repr(entry.get(key)): entry for entry in over}
    known = {repr(entry.get(key)) for entry in base}
    kept = [combine(entry, given[name]) if (name := repr(entry.get(key))) in given else dict(entry) for entry in base]
    return kept + [combine({}, entry) for name, entry in given.items() if name not in known]
