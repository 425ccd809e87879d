"""`--set path=value`: changes to a job file from the command line, validated like the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

from dltrain.api.document import load_document, load_value
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_document
from dltrain.api.text import read_text
from dltrain.api.wording import Location, location_of
from dltrain.errors import Problem, SpecError


def load_job(path: Path, overrides: Sequence[str] = ()) -> DLTrainJob:
    """Read a job file and change what the overrides say.

    Args:
        path: the file.
        overrides: each `path=value`, as in `spec.pipeline.train.epochs=1` or
            `spec.workers.resources.limits[nvidia.com/gpu]=2`; the value is read as YAML.

    Raises:
        SpecError: an override has no such form, or the job is not valid with it.
    """
    document = dict(load_document(read_text(path)))
    for override in overrides:
        where, found, value = override.partition("=")
        if not found:
            raise SpecError([Problem("--set", "must have the form PATH=VALUE", override, "write spec.FIELD=VALUE")])
        try:
            location = location_of(where)
        except ValueError as error:
            raise SpecError([Problem("--set", str(error), remedy="correct the path")]) from error
        put(document, location, load_value(value, f"--set {where}"), where)
    return parse_document(document)


def put(document: Any, location: Location, value: Any, path: str) -> None:
    """Set a value inside nested mappings and lists, making mappings on the way.

    The document itself is changed; what is inside of it is copied on the way, for YAML's aliases are one object that
    other places share.

    Raises:
        SpecError: the path leads through something that is neither.
    """
    *way, last = location
    try:
        for step in way:
            absent = isinstance(document, dict) and document.get(step) is None
            document[step] = {} if absent else copy(document[step])
            document = document[step]
        document[last] = value
    except (TypeError, IndexError, KeyError) as error:
        raise SpecError([Problem(path, "does not lead to a field of this job", remedy="correct the path")]) from error
