"""Turning text or plain values into a profile, with every problem found in one answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dltrain.api.parse import document_of, model_of_values, unwritten
from dltrain.api.profile import DLTrainProfile
from dltrain.api.text import read_text
from dltrain.api.wording import location_of, nearest_field, way_to
from dltrain.errors import Problem, SpecError


def parse_profile_file(path: str | Path) -> DLTrainProfile:
    """Read a profile from a YAML or JSON file.

    Raises:
        SpecError: the file cannot be read, or is not one valid profile.
    """
    values = document_of(read_text(Path(path)))
    return profile_of_values(values, unwritten(values))


def parse_profile(values: Mapping[str, Any]) -> DLTrainProfile:
    """Make a profile of plain values.

    Raises:
        SpecError: it is not one valid profile; holds all problems.
    """
    return profile_of_values(values, [])


def profile_of_values(values: Mapping[str, Any], known: list[Problem]) -> DLTrainProfile:
    """Make a profile of plain values.

    Args:
        values: the document.
        known: what is known to be wrong with it.

    Raises:
        SpecError: there is a problem; holds all.
    """
    profile = model_of_values(DLTrainProfile, values, known)
    unknown = list(unknown_fields(profile))
    if unknown:
        raise SpecError(unknown)
    return profile


def unknown_fields(profile: DLTrainProfile) -> Iterator[Problem]:
    """The limits of fields that no job has; the API server does not see to that."""
    for place, limit in enumerate(profile.spec.limits):
        names = [part for part in location_of(limit.field) if isinstance(part, str)]
        steps = list(way_to(names))
        if len(steps) < len(names) and steps[-1][1] is not None:
            remedy = nearest_field(names[: len(steps) + 1])
            yield Problem(f"spec.limits[{place}].field", "must be a field of a job", limit.field, remedy)
