"""Turning text or plain values into a job, with every problem found in one answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from dltrain.api.base import STORED
from dltrain.api.job import DLTrainJob
from dltrain.api.problems import problems
from dltrain.api.text import plain_json, read_text
from dltrain.api.wording import problem_of
from dltrain.errors import ClusterError, Problem, SpecError

Model = TypeVar("Model", bound=BaseModel)
ALWAYS_WRITTEN: Final = ("apiVersion", "kind")
"""Fields that a text must have, as the API server demands; values made in Python may leave them out."""


def parse_job_file(path: str | Path) -> DLTrainJob:
    """Read a job from a YAML or JSON file.

    Raises:
        SpecError: the file cannot be read, or is not one valid job.
    """
    return parse_job(read_text(Path(path)))


def parse_job(source: str | Mapping[str, Any]) -> DLTrainJob:
    """Make a job of YAML or JSON text, or of plain values.

    Types are taken as the API server takes them: a number in quotes is text.

    Raises:
        SpecError: it is not one valid job; holds all problems.
    """
    if isinstance(source, str):
        return parse_document(document_of(source))
    return model_of_values(DLTrainJob, source, [])


def document_of(text: str) -> Mapping[str, Any]:
    """The one document that YAML or JSON text holds.

    Raises:
        SpecError: it holds none.
    """
    values = plain_json(text)
    if values is not None:
        return values
    from dltrain.api.document import load_document  # noqa: PLC0415 - see dltrain.api.text

    return load_document(text)


def parse_document(values: Mapping[str, Any]) -> DLTrainJob:
    """Make a job of what a file holds.

    Raises:
        SpecError: it is not one valid job; holds all problems.
    """
    return model_of_values(DLTrainJob, values, unwritten(values))


def unwritten(values: Mapping[str, Any]) -> list[Problem]:
    """What every document must say and this one does not."""
    return [problem_of("missing", (name,), {}, "") for name in ALWAYS_WRITTEN if not values.get(name)]


def model_of_values(model: type[Model], values: Mapping[str, Any], known: list[Problem]) -> Model:
    """Make an object of the contract of plain values.

    Args:
        model: the kind of object.
        values: the document.
        known: what is known to be wrong with it.

    Raises:
        SpecError: there is a problem; holds all.
    """
    try:
        made = model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise SpecError(sorted({*known, *problems(error, model)}, key=lambda problem: problem.path)) from error
    except (TypeError, ValueError, RecursionError) as error:  # bytes, sets, anchors within themselves
        raise SpecError([Problem("", f"holds what JSON cannot: {error}", remedy="write plain values")]) from error
    if known:
        raise SpecError(known)
    return made


def stored_job(manifest: Mapping[str, Any]) -> DLTrainJob:
    """A job as the API server has it.

    What an older or newer dltrain has stored may have other fields and need not keep today's rules to be shown.

    Raises:
        ClusterError: it cannot be understood.
    """
    try:
        return DLTrainJob.model_validate(manifest, extra="ignore", context=STORED)
    except ValidationError as error:
        name = manifest.get("metadata", {}).get("name", "")
        first = next(problems(error))
        raise ClusterError(f"job {name} was stored by another version of dltrain: {first}; upgrade this one") from error
