"""docs/reference/chart.md: a table of every value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from helm.sources.fields import Group, Value

HEADER: Final = """\
# Values of the chart
Generated from `helm/sources/values.py` by `make chart`; do not edit. How to install: [Helm](../helm.md).
"""
COLUMNS: Final = "| value | type | default | |\n| --- | --- | --- | --- |"


def values_table(values: Group) -> str:
    """The page."""
    plain = {name: member for name, member in values.members.items() if isinstance(member, Value)}
    groups = {name: member for name, member in values.members.items() if isinstance(member, Group)}
    parts = [
        section("", "Top level", Group("", plain)),
        *(section(name, name, group) for name, group in groups.items()),
    ]
    return "\n".join([HEADER, *parts])


def section(path: str, title: str, group: Group) -> str:
    """One key of the top level with all below it."""
    heading = [f"## {title}", *([group.description] if group.description else []), "", COLUMNS]
    return "\n".join([*heading, *rows(path, group)]) + "\n"


def rows(path: str, group: Group) -> Iterator[str]:
    """A line for each value of a group, those of groups inside included."""
    for name, member in group.members.items():
        full = f"{path}.{name}" if path else name
        if isinstance(member, Group):
            yield from rows(full, member)
        else:
            cells = (f"`{full}`", kind(member.schema), f"`{json.dumps(member.default)}`", said(member))
            yield f"| {' | '.join(cells)} |"
            yield from rows(f"{full}[]", items_of(member))


def said(value: Value) -> str:
    """What a value means, and what it may be."""
    choices = value.schema.get("enum", ())
    return " ".join([value.description, *([f"One of {', '.join(choices)}."] if choices else [])]).replace("|", "\\|")


def items_of(value: Value) -> Group:
    """The members of a list's items, as far as they are described."""
    described: dict[str, Any] = value.schema.get("items", {}).get("properties", {})
    members = {name: Value(part["description"], part["default"], part) for name, part in described.items()}
    return Group("", members)


def kind(schema: dict[str, Any]) -> str:
    """A schema's type, in a word or a few."""
    bounds = [str(schema[name]) for name in ("minimum", "maximum") if name in schema]
    return f"{schema['type']} {' to '.join(bounds)}".strip()
