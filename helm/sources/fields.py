"""The kinds of values a chart may be given, each with its default, its meaning and its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Schema = dict[str, Any]

QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
"""A Kubernetes quantity without exponent."""
NAME: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A DNS label (RFC 1123)."""
OPTIONAL_NAME: Final = r"^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)?$"
"""A DNS subdomain (RFC 1123), or nothing."""


@dataclass(frozen=True)
class Value:
    """A value: what it means, what it is by default, and the JSON schema of what it may be."""

    description: str
    default: Any
    schema: Schema

    def to_schema(self) -> Schema:
        """The JSON schema of the value, described."""
        return {**self.schema, "description": self.description, "default": self.default}


@dataclass(frozen=True)
class Group:
    """Values under one key."""

    description: str
    members: Mapping[str, Value | Group]
    open: bool = False
    """Whether keys that are not listed are let in."""
    required: Sequence[str] = field(default=())

    @property
    def default(self) -> dict[str, Any]:
        """What the values are by default."""
        return {name: member.default for name, member in self.members.items()}

    def to_schema(self) -> Schema:
        """The JSON schema of the group, described."""
        properties = {name: member.to_schema() for name, member in self.members.items()}
        closed: Schema = {} if self.open else {"additionalProperties": False}
        needed: Schema = {"required": list(self.required)} if self.required else {}
        return {"type": "object", "description": self.description, "properties": properties, **closed, **needed}


def text(description: str, default: str = "", pattern: str = "", choices: Sequence[str] = ()) -> Value:
    """A string, perhaps of a form, perhaps one of some."""
    schema: Schema = {"type": "string"}
    if pattern:
        schema["pattern"] = pattern
    if choices:
        schema["enum"] = list(choices)
    return Value(description, default, schema)


def integer(description: str, default: int, least: int, most: int) -> Value:
    """A whole number between two others, inclusive."""
    return Value(description, default, {"type": "integer", "minimum": least, "maximum": most})


def switch(description: str, *, default: bool) -> Value:
    """Yes or no."""
    return Value(description, default, {"type": "boolean"})


def words(description: str, default: Mapping[str, str] | None = None) -> Value:
    """A mapping of strings to strings, as labels and annotations are."""
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    return Value(description, dict(default or {}), schema)


def texts(description: str, default: Sequence[str] = (), pattern: str = "", item: str = "One of them.") -> Value:
    """A list of different strings."""
    items = {"type": "string", "description": item, **({"pattern": pattern} if pattern else {})}
    return Value(description, list(default), {"type": "array", "uniqueItems": True, "items": items})


def records(description: str, members: Group) -> Value:
    """A list of groups, empty by default."""
    return Value(description, [], {"type": "array", "items": members.to_schema()})


def quantities(description: str, default: Mapping[str, str]) -> Value:
    """Amounts of resources by their name."""
    amount = {"type": "string", "pattern": QUANTITY, "description": 'An amount in quotes, as in "500m" or "1Gi".'}
    return Value(description, dict(default), {"type": "object", "additionalProperties": amount})


def foreign(description: str, kind: str = "object") -> Value:
    """A part of a Kubernetes object, which the API server checks: an object or an array of objects."""
    if kind == "object":
        return Value(description, {}, {"type": "object"})
    return Value(description, [], {"type": "array", "items": {"type": "object", "description": "One of them."}})
