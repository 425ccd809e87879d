"""`--set path=value`: changes to a job file from the command line, validated like the file itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import load_document, parse_job, parse_job_file
from dltrain.errors import Problem, SpecError

STEP: Final = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]")


def load_job(path: Path, overrides: Sequence[str] = ()) -> DLTrainJob:
    """Read a job file and change what the overrides say.

    Args:
        path: the file.
        overrides: each `path=value`, as in `spec.pipeline.train.epochs=1`; the value is read as YAML.

    Raises:
        SpecError: an override has no such form, or the job is not valid with it.
    """
    job = parse_job_file(path)
    if not overrides:
        return job
    document = dict(load_document(path.read_text(encoding="utf-8")))
    for override in overrides:
        where, found, value = override.partition("=")
        if not found:
            raise SpecError([Problem("--set", "must have the form path=value", override, "write spec.FIELD=VALUE")])
        put(document, steps_of(where), yaml.safe_load(value), where)
    return parse_job(document)


def steps_of(path: str) -> list[str | int]:
    """The parts of a path: names and positions in lists."""
    return [match["name"] or int(match["index"]) for match in STEP.finditer(path)]


def put(document: Any, steps: Sequence[str | int], value: Any, path: str) -> None:
    """Set a value inside nested mappings and lists, making mappings on the way.

    Raises:
        SpecError: the path leads through something that is neither.
    """
    *way, last = steps
    try:
        for step in way:
            if isinstance(document, dict) and document.get(step) is None:
                document[step] = {}
            document = document[step]
        document[last] = value
    except (TypeError, IndexError, KeyError) as error:
        raise SpecError([Problem(path, "does not lead to a field of this job", remedy="correct the path")]) from error
