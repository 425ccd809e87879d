"""Rules that tie a field to what another one chooses, so that no field is ever set in vain."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic.alias_generators import to_camel

from dltrain.api.base import Found, Rule


def only_with(field: str, choice: str, *values: str) -> Rule:
    """The rule that an optional field is set only where another field has one of some values.

    Args:
        field: the optional field's Python name.
        choice: the other field's Python name.
        values: of the other field, those that make use of the optional one.
    """
    alias, other = to_camel(field), to_camel(choice)
    return Rule(
        cel=f"!has(self.{alias}) || self.{other} in {cel_list(values)}",
        holds=lambda model: getattr(model, field) is None or getattr(model, choice) in values,
        message=f"must be absent unless {other} is {listed(values)}; remove it or set {other}: {values[0]}",
        at=(alias,),
        found=found_choice(choice),
    )


def needed_with(field: str, choice: str, value: str) -> Rule:
    """The rule that an optional field is set where another field has a value.

    Args:
        field: the optional field's Python name.
        choice: the other field's Python name.
        value: of the other field, that which needs the optional one.
    """
    alias, other = to_camel(field), to_camel(choice)
    return Rule(
        cel=f"!has(self.{other}) || self.{other} != '{value}' || has(self.{alias})",  # absent in a default: {}
        holds=lambda model: getattr(model, choice) != value or getattr(model, field) is not None,
        message=f"is required when {other} is {value}; add it",
        at=(alias,),
    )


def each_once(field: str, noun: str) -> Rule:
    """The rule that a list names nothing twice.

    Args:
        field: the list's name, the same in Python and in YAML; it may be absent.
        noun: what its entries are.
    """
    return Rule(
        cel=f"!has(self.{field}) || self.{field}.all(one, self.{field}.exists_one(other, other == one))",
        holds=lambda model: len(set(getattr(model, field) or ())) == len(getattr(model, field) or ()),
        message=f"must name each {noun} once; remove what is repeated",
        at=(field,),
        found=Found(f"self.{field}", lambda model: json.dumps(getattr(model, field))),
    )


def or_default(value: Any, default: Any) -> Any:
    """A value, or what stands for it where it is absent."""
    return default if value is None else value


def found_choice(choice: str) -> Found:
    """The value of a field, said with its name."""
    other = to_camel(choice)

    def text(model: Any) -> str:
        return f"{other} {getattr(model, choice)}"

    return Found(f"'{other} ' + self.{other}", text)


def listed(words: Iterable[str]) -> str:
    """Words as people list alternatives: `a, b or c`."""
    *head, last = words
    return f"{', '.join(head)} or {last}" if head else last


def cel_list(words: Iterable[str]) -> str:
    """Words as a list of CEL."""
    return f"[{', '.join(repr(word) for word in words)}]"
