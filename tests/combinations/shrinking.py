"""Makes a document that breaks a promise smaller, as long as it does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.combinations.drawing import is_taken

NEEDED: Final = {"source", "format", "target", "task", "name", "workers", "pipeline", "data", "model"}
"""Fields that are left: without them it would be another job, or none."""
TRIES: Final = 60
Way = tuple[str | int, ...]


def places(value: Any, way: Way = ()) -> Iterator[Way]:
    """The ways to every field and entry that may go, from the outside to the inside."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, part in reversed(inner):
        if key not in NEEDED:
            yield (*way, key)
        yield from places(part, (*way, key))


def without(document: dict[str, Any], way: Way) -> dict[str, Any]:
    """A copy of a document without what is at a place."""
    result = copy.deepcopy(document)
    inner: Any = result
    for step in way[:-1]:
        inner = inner[step]
    del inner[way[-1]]
    return result


def shrunk(document: dict[str, Any], breaks: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The smallest document that is found in some tries and still breaks a promise."""
    tries = 0
    again = True
    while again:
        again = False
        for way in list(places(document["spec"], ("spec",))):
            smaller = without(document, way)
            if not is_taken(smaller):
                continue
            tries += 1
            if tries > TRIES:
                return document
            if breaks(smaller):
                document, again = smaller, True
                break
    return document
