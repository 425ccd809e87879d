"""The generated reference page: complete, and as committed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from dltrain.api.job import JobSpec
from dltrain.api.reference import OBSERVED, WRITTEN, constraints, reference, rule_line, section, type_of
from dltrain.api.status import JobStatus

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "job.md"


def models_in(annotation: Any, entries: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The models that a type annotation mentions, each with [] where it is of the entries of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, entries
    for argument in get_args(annotation):
        yield from models_in(argument, "[]" if get_origin(annotation) is tuple else entries)


def fields_of(model: type[BaseModel], path: str) -> Iterator[tuple[str, str]]:
    """(object, field) of everything below a model, straight from the models."""
    for name, field in model.model_fields.items():
        alias = field.alias or name
        yield path, alias
        for inner, entries in models_in(field.annotation):
            yield from fields_of(inner, f"{path}.{alias}{entries}")


def fields_on(page: str) -> set[tuple[str, str]]:
    """(object, field) of every row of the page's tables."""
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    return {
        (text.splitlines()[0], field) for text in sections for field in re.findall(r"^\| `(\w+)`", text, re.MULTILINE)
    }


def test_every_field_of_the_contract_and_no_other_is_on_the_page() -> None:
    written = {*fields_of(JobSpec, "spec"), *fields_of(JobStatus, "status")}
    assert {found for found in fields_on(reference()) if found[0] != "metadata"} == written


def test_the_metadata_that_a_user_writes_is_on_the_page_and_the_servers_is_not() -> None:
    found = {field for path, field in fields_on(reference()) if path == "metadata"}
    assert {"name", "generateName", "namespace", "labels", "annotations"} - found == set()
    assert found & {"uid", "generation", "resourceVersion", "creationTimestamp", "managedFields"} == set()


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == reference(), "make reference"


OBJECT: dict[str, Any] = {
    "type": "object",
    "description": "How parameters\nfollow.",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "The method.", "enum": ["sgd", "adam"]},
        "form": {"type": "string", "description": "A|B.", "pattern": "^(a|b)$", "default": "a"},
    },
}


def test_a_section_is_a_heading_a_description_and_a_table() -> None:
    assert "\n".join(section("spec.optimizer", OBJECT, WRITTEN)).splitlines() == [
        "",
        "## spec.optimizer",
        "",
        "How parameters follow.",
        "",
        "| Field | Type | Default | Allowed | Meaning |",
        "| --- | --- | --- | --- | --- |",
        "| `name` | string | required | `sgd`, `adam` | The method. |",
        r'| `form` | string | `"a"` | matches `^(a\|b)$` | A\|B. |',
    ]


def test_a_section_of_the_status_has_no_defaults() -> None:
    assert list(section("status", OBJECT, OBSERVED))[3] == "| `name` | string | `sgd`, `adam` | The method. |"


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        pytest.param({"message": "must hold; do so"}, "must hold; do so", id="of the object as a whole"),
        pytest.param(
            {"message": "must be whole", "fieldPath": ".limits['a/b']"},
            "`spec.limits['a/b']`: must be whole",
            id="of one field",
        ),
    ],
)
def test_a_rule_names_the_field_at_fault(rule: dict[str, str], line: str) -> None:
    assert rule_line("spec", rule) == line


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param({"minimum": 1, "maximum": 9}, ["at least 1, at most 9"], id="both bounds"),
        pytest.param({"minimum": 0, "exclusiveMinimum": True}, ["more than 0"], id="a bound that is excluded"),
        pytest.param({"minimum": 0, "maximum": 1, "exclusiveMaximum": True}, ["at least 0, less than 1"], id="mixed"),
        pytest.param({"maxLength": 5, "pattern": "^a"}, ["at most 5 characters", "matches `^a`"], id="text"),
        pytest.param(
            {"minItems": 1, "items": {"type": "string", "enum": ["a"]}},
            ["at least 1 entries", "each `a`"],
            id="a list and its entries",
        ),
        pytest.param(
            {"maxProperties": 3, "additionalProperties": {"pattern": "^1"}},
            ["at most 3 entries", "each matches `^1`"],
            id="a map and its values",
        ),
        pytest.param(
            {"type": "array", "x-kubernetes-validations": [{"message": "cannot change"}]},
            ["cannot change"],
            id="a rule of a field without a table of its own",
        ),
        pytest.param(
            {"properties": {}, "x-kubernetes-validations": [{"message": "cannot change"}]},
            [],
            id="a rule of an object stands below its table",
        ),
    ],
)
def test_constraints_in_words(schema: dict[str, Any], words: list[str]) -> None:
    assert list(constraints(schema)) == words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param({"type": "string", "format": "date-time"}, "time", id="a moment"),
        pytest.param({"x-kubernetes-int-or-string": True}, "quantity", id="number or text"),
        pytest.param({"type": "array", "items": {"type": "integer"}}, "list of integer", id="list"),
        pytest.param({"type": "object", "additionalProperties": {"type": "number"}}, "map to number", id="map"),
        pytest.param({"type": "object", "additionalProperties": True}, "object", id="free form"),
    ],
)
def test_types_in_words(schema: dict[str, Any], words: str) -> None:
    assert type_of(schema) == words
