"""How a problem with a job is said, in the same words whether validation here or the API server has found it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dltrain.api.base import Form
from dltrain.api.job import DLTrainJob
from dltrain.errors import Problem

SHOWN_VALUE_LENGTH: Final = 80
STEP: Final = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<key>[^\[\]]+)\]")
PATH: Final = re.compile(r"[^.\[\]]+(\.[^.\[\]]+|\[[^\[\]]+\])*")
Location = Sequence[int | str]
"""The way to a field: names as in YAML, and positions in lists."""

RULES: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("must be at least {ge}", "set {ge} or more"),
    "greater_than": ("must be greater than {gt}", "set more than {gt}"),
    "less_than_equal": ("must be at most {le}", "set {le} or less"),
    "less_than": ("must be less than {lt}", "set less than {lt}"),
    "literal_error": ("must be {expected}", "{choice}"),
    "string_pattern_mismatch": ("must match {pattern}", "write it in that form"),
    "string_too_long": ("must have at most {max_length} characters", "shorten it"),
    "string_too_short": ("must have at least {min_length} characters", "write it out"),
    "too_short": ("must have {min_length} or more entries", "add what is missing"),
    "too_long": ("must have {max_length} or fewer entries", "remove some"),
    "int_type": ("must be a whole number", "write digits only, without quotes"),
    "int_parsing": ("must be a whole number", "write digits only"),
    "int_from_float": ("must be a whole number", "remove the fraction"),
    "float_type": ("must be a number", "write digits only, as in 0.1, without quotes"),
    "float_parsing": ("must be a number", "write digits only, as in 0.1"),
    "finite_number": ("must be a finite number", "write digits only, as in 0.1, without quotes"),
    "bool_type": ("must be true or false", "write true or false, without quotes"),
    "bool_parsing": ("must be true or false", "write True or False"),
    "string_type": ("must be text", "put it in quotes"),
    "datetime_parsing": ("must be a time", "write it as in 2026-01-31T12:00:00Z"),
    "model_type": ("must be a mapping", "write its fields below it, indented"),
    "dict_type": ("must be a mapping", "write its entries below it, indented"),
    "tuple_type": ("must be a list", "write its entries as - lines"),
    "missing": ("is required", "add it"),
    "extra_forbidden": ("is not a field", "{choice}"),
}
"""pydantic's type of error -> rule and remedy, with the error's context as fields."""


def problem_of(
    kind: str, location: Location, context: Mapping[str, Any], value: str, root: type[BaseModel] = DLTrainJob
) -> Problem:
    """A problem in our words.

    Args:
        kind: pydantic's type of error.
        location: where it was found.
        context: the numbers or words that the rule mentions, by pydantic's names; `msg` for rules unknown here.
        value: what was found, as `shown` gives it.
        root: the model that the location begins at.
    """
    rule, remedy = RULES.get(kind, ("{msg}", "correct the value"))
    form = form_at(location, root)
    if form is not None and (kind in {"string_pattern_mismatch", "string_too_short"} or kind.endswith("_type")):
        rule, remedy = form.rule, near_word(value, form.known) or form.remedy
    told = {name: plain(part) for name, part in context.items()}
    if kind == "extra_forbidden":
        told["choice"] = nearest_field(location, root)
    if kind == "literal_error":
        told["choice"] = nearest_choice(value, context["expected"])
    return Problem(dotted(location), rule.format(**told), value, remedy.format(**told))


def broken_rule(location: Location, message: str, value: str) -> Problem:
    """A problem that a rule of the contract names itself, as `RULE; REMEDY`."""
    rule, _, remedy = message.partition("; ")
    return Problem(dotted(location), rule, value, remedy)


def dotted(location: Location) -> str:
    """A field path as Kubernetes writes it: `spec.pipeline.data.transforms[0]`, `limits[nvidia.com/gpu]`."""
    path = ""
    for part in location:
        plain = isinstance(part, str) and part.replace("-", "_").isidentifier()
        path += f".{part}" if plain and path else str(part) if plain else f"[{part}]"
    return path


def location_of(path: str) -> tuple[int | str, ...]:
    """The way that a path describes; the inverse of `dotted`.

    Raises:
        ValueError: it is no path.
    """
    if not PATH.fullmatch(path):
        raise ValueError(f"{path!r} is not a path, as in spec.pipeline.train.epochs or limits[nvidia.com/gpu]")
    parts = (match["name"] or match["key"] for match in STEP.finditer(path))
    return tuple(int(part) if part.isdigit() else part for part in parts)


def plain(value: Any) -> Any:
    """A number as people write it: 1.0 as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: Any) -> str:
    """A value as its author would recognise it, in one short line; nothing for absent ones and mappings."""
    if value is None or isinstance(value, Mapping | BaseModel):
        return ""
    text = json.dumps(plain(value), default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_VALUE_LENGTH else f"{text[: SHOWN_VALUE_LENGTH - 3]}..."


def nearest_field(location: Location, root: type[BaseModel] = DLTrainJob) -> str:
    """What to write instead of an unknown field."""
    word, fields = str(location[-1]), field_names(location[:-1], root)
    near = difflib.get_close_matches(word, fields, n=1) or [
        field for field in fields if len(word) > 2 and word.lower() in field.lower()
    ]
    return f"did you mean {near[0]}?" if near else f"remove it; known here: {', '.join(sorted(fields)) or 'none'}"


def nearest_choice(value: str, expected: str) -> str:
    """What to write instead of a word that is none of the choices.

    Args:
        value: the word, as `shown` gives it.
        expected: the choices, each in single quotes.
    """
    choices = expected.split("'")[1::2]
    return near_word(value, choices) or (f"write {choices[0]}" if len(choices) == 1 else "choose one of these")


def near_word(value: str, words: Sequence[str]) -> str:
    """A question for the word that was probably meant; empty if none is near.

    Args:
        value: what was found, as `shown` gives it.
        words: those that could be meant.
    """
    near = difflib.get_close_matches(value.strip('"'), words, n=1)
    return f"did you mean {near[0]}?" if near else ""


def field_names(location: Location, root: type[BaseModel] = DLTrainJob) -> list[str]:
    """The names, as in YAML, of the fields that the contract has at a location."""
    model = model_at(location, root)
    return [field.alias or name for name, field in model.model_fields.items()]


def model_at(location: Location, root: type[BaseModel] = DLTrainJob) -> type[BaseModel]:
    """The innermost model on the way to a location."""
    models: list[type[BaseModel]] = [root, *(model for _, model in way_to(location, root) if model is not None)]
    return models[-1]


def form_at(location: Location, root: type[BaseModel] = DLTrainJob) -> Form | None:
    """What the field at a location must look like, where the contract has words for it."""
    fields = [field for field, _ in way_to(location, root)]
    return next(forms_in(fields[-1]), None) if fields else None


def way_to(
    location: Location, root: type[BaseModel] = DLTrainJob
) -> Iterator[tuple[FieldInfo, type[BaseModel] | None]]:
    """The fields of the contract on the way to a location, each with the model below it, if there is one."""
    model: type[BaseModel] | None = root
    for part in location:
        if isinstance(part, int):
            continue
        fields = model.model_fields.values() if model else ()
        field = next((field for field in fields if field.alias == part), None)
        if field is None:  # a key of the user's own, as in labels
            return
        model = next(iter(models_in(field.annotation)), None)
        yield field, model


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def forms_in(field: FieldInfo) -> Iterator[Form]:
    """The forms that a field's annotation mentions."""
    yield from (part for part in field.metadata if isinstance(part, Form))
    yield from forms_below(field.annotation)


def forms_below(annotation: Any) -> Iterator[Form]:
    """The forms that a type annotation mentions inside."""
    if isinstance(annotation, Form):
        yield annotation
    for argument in get_args(annotation):
        yield from forms_below(argument)
