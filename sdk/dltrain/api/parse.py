"""Turning text or plain values into a job, with every problem found in one answer."""

from __future__ import annotations

import difflib
import json
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dltrain.api.job import DLTrainJob
from dltrain.errors import Problem, SpecError

SHOWN_VALUE_LENGTH: Final = 80


def parse_job_file(path: Path) -> DLTrainJob:
    """Read a job from a YAML or JSON file.

    Raises:
        SpecError: the file cannot be read, or is not one valid job.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError([Problem("", f"cannot read {path}: {error.strerror}", remedy="check the path")]) from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem("", f"{path} is not UTF-8 text", remedy="save it as UTF-8")]) from error
    return parse_job(text)


def parse_job(source: str | Mapping[str, Any]) -> DLTrainJob:
    """Make a job of YAML or JSON text, or of plain values.

    Raises:
        SpecError: it is not one valid job; holds all problems.
    """
    values = load_document(source) if isinstance(source, str) else source
    try:
        return DLTrainJob.model_validate(values)
    except ValidationError as error:
        raise SpecError(sorted(set(problems(error)), key=lambda problem: problem.path)) from error


def load_document(text: str) -> Mapping[str, Any]:
    """Read the one mapping that a YAML or JSON text holds.

    Raises:
        SpecError: the text is no YAML, holds no mapping or several documents, or repeats a key.
    """
    try:
        documents = [document for document in yaml.load_all(text, Loader=UniqueKeyLoader) if document is not None]
    except yaml.YAMLError as error:
        raise SpecError([yaml_problem(error)]) from error
    if len(documents) != 1:
        found = "no document" if not documents else f"{len(documents)} documents"
        raise SpecError([Problem("", "must hold exactly one job", found, "write one job a file")])
    if not isinstance(documents[0], Mapping):
        raise SpecError(
            [Problem("", "must be a mapping", shown(documents[0]), "start with apiVersion:, kind:, metadata:, spec:")]
        )
    return documents[0]


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe YAML loader that refuses a key given twice, where PyYAML would keep the last silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Construct a mapping.

        Raises:
            yaml.constructor.ConstructorError: a key is given twice.
        """
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


def yaml_problem(error: yaml.YAMLError) -> Problem:
    """The problem that a YAML error states, with its place."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = getattr(error, "problem", None) or str(error)
    return Problem("", f"is not valid YAML: {what}{where}", remedy="correct that line; indent with spaces")


def problems(error: ValidationError) -> Iterator[Problem]:
    """Each problem of a validation error, in the user's own field names."""
    for detail in error.errors(include_url=False):
        yield problem_of(detail, detail["loc"])


def problem_of(detail: ErrorDetails, location: tuple[int | str, ...]) -> Problem:
    """One problem in our words: rule, value found and remedy."""
    path = dotted(location)
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "extra_forbidden":
        return Problem(path, "is not a field", remedy=nearest_field(location))
    if kind == "missing":
        return Problem(path, "is required", remedy="add it")
    if kind == "rule":
        rule, _, remedy = detail["msg"].partition("; ")
        return Problem(path, rule, shown(detail["input"]), remedy)
    rule, remedy = RULES.get(kind, ("{msg}", "correct the value"))
    known = {"msg": detail["msg"][:1].lower() + detail["msg"][1:], **context}
    return Problem(path, rule.format(**known), shown(detail["input"]), remedy.format(**known))


RULES: Final[dict[str, tuple[str, str]]] = {
    "greater_than_equal": ("must be at least {ge}", "set {ge} or more"),
    "greater_than": ("must be greater than {gt}", "set more than {gt}"),
    "less_than_equal": ("must be at most {le}", "set {le} or less"),
    "less_than": ("must be less than {lt}", "set less than {lt}"),
    "literal_error": ("must be {expected}", "choose one of these"),
    "string_pattern_mismatch": ("must match {pattern}", "write it in that form"),
    "string_too_long": ("must have at most {max_length} characters", "shorten it"),
    "string_too_short": ("must have at least {min_length} characters", "write it out"),
    "too_short": ("must have at least {min_length} entries", "add one"),
    "too_long": ("must have at most {max_length} entries", "remove some"),
    "int_type": ("must be a whole number", "write it without quotes"),
    "int_parsing": ("must be a whole number", "write digits only"),
    "int_from_float": ("must be a whole number", "remove the fraction"),
    "float_type": ("must be a number", "write it without quotes"),
    "float_parsing": ("must be a number", "write digits, as in 0.1"),
    "finite_number": ("must be a finite number", "write digits, as in 0.1"),
    "bool_type": ("must be true or false", "write true or false"),
    "bool_parsing": ("must be true or false", "write true or false"),
    "string_type": ("must be text", "put it in quotes"),
    "model_type": ("must be a mapping", "write its fields below it, indented"),
    "model_attributes_type": ("must be a mapping", "write its fields below it, indented"),
    "dict_type": ("must be a mapping", "write its fields below it, indented"),
    "tuple_type": ("must be a list", "write its entries as - lines"),
    "list_type": ("must be a list", "write its entries as - lines"),
}
"""pydantic's error type -> (rule, remedy), with the error's context as fields."""


def dotted(location: tuple[int | str, ...]) -> str:
    """A field path as Kubernetes writes it: `spec.pipeline.data.transforms[0]`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def shown(value: Any) -> str:
    """A value as its author would recognise it, in one short line; nothing for absent ones and mappings."""
    if value is None or isinstance(value, Mapping | BaseModel):
        return ""
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_VALUE_LENGTH else f"{text[: SHOWN_VALUE_LENGTH - 3]}..."


def nearest_field(location: tuple[int | str, ...]) -> str:
    """What to write instead of an unknown field."""
    fields = field_names(DLTrainJob, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), fields, n=1)
    return f"did you mean {near[0]}?" if near else f"remove it; known here: {', '.join(sorted(fields))}"


def field_names(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The names, as in YAML, of the fields that the contract has at a location."""
    for part in location:
        if isinstance(part, int):
            continue
        field = next(field for field in model.model_fields.values() if field.alias == part)
        model = next(iter(models_in(field.annotation)), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)
