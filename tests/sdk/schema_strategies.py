"""Hypothesis strategies from the CustomResourceDefinition's own schema: one field of a spec, changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from dltrain.api.crd import custom_resource_definition

SPEC: Final[Mapping[str, Any]] = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
    "properties"
]["spec"]
WRONG: Final = st.sampled_from([-1, 10**12, "no such word!", "", [], {}, True, 0.5, ["x"], {"unknown": 1}])
"""Values that few fields take."""
CHANGEABLE: Final = (("runPolicy",), ("workers", "replicas"), ("elastic",))
"""Where edits of jobs that exist mostly are."""
MAX_ITEMS: Final = 2


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a structural schema takes; rules across fields are not looked at."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "x-kubernetes-int-or-string" in schema:
        return st.integers(0, 64) | st.sampled_from(["500m", "1Gi", "2"])
    return BY_TYPE[schema["type"]](schema)


def objects(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Of an object: its required fields, and some of the others."""
    fields = {name: later(part) for name, part in schema.get("properties", {}).items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    few = st.lists(st.sampled_from(sorted(fields)), max_size=MAX_ITEMS, unique=True) if fields else st.just([])
    return few.flatmap(lambda names: st.fixed_dictionaries({**required, **{name: fields[name] for name in names}}))


def later(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """`values`, made when one is drawn: most schemas of a large one are never looked at."""
    return st.deferred(lambda: values(schema))


def numbers(schema: Mapping[str, Any]) -> st.SearchStrategy[float]:
    """Of a number: halves and whole ones near its lower bound."""
    low = schema.get("minimum", 0)
    return st.sampled_from([low + 0.5, low + 0.25])


BY_TYPE: Final[Mapping[str, Any]] = {
    "object": objects,
    "array": lambda schema: st.lists(values(schema["items"]), max_size=MAX_ITEMS),
    "string": lambda schema: (
        st.from_regex(schema["pattern"].replace("$", r"\Z"), fullmatch=True).filter(lambda text: len(text) < 60)
        if "pattern" in schema
        else st.text("abc", min_size=1, max_size=5)
    ),
    "integer": lambda schema: st.integers(schema.get("minimum", 0), min(schema.get("maximum", 100), 100_000)),
    "number": numbers,
    "boolean": lambda _: st.booleans(),
}


@st.composite
def edits(draw: st.DrawFn, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with one field set to another value, or without a field."""
    changed, schema, place = copy.deepcopy(dict(spec)), SPEC, draw(st.sampled_from(CHANGEABLE) | st.just(()))
    target: Any = changed
    name = place[0] if place else draw(st.sampled_from(sorted(schema["properties"])))
    rest = list(place[1:])
    while True:
        part = schema["properties"][name]
        deeper = part.get("properties") and (rest or draw(st.integers(0, 4)))
        if not deeper or not isinstance(target.get(name, {}), dict):
            break
        target, schema = target.setdefault(name, {}), part
        name = rest.pop(0) if rest else draw(st.sampled_from(sorted(schema["properties"])))
    if name in target and draw(st.integers(0, 5)) == 0:
        del target[name]
    else:
        target[name] = draw(WRONG if draw(st.integers(0, 4)) == 0 else values(schema["properties"][name]))
    return changed
