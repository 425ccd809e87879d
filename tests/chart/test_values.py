"""The chart's values: all described, all typed, wrong ones refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, program
from tests.chart.wrong import WRONG

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.mark.parametrize(("values", "where", "what"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_are_refused_with_their_place_and_the_reason(
    values: dict[str, Any], where: str, what: str
) -> None:
    command: list[str | Path] = [program("helm"), "template", "dltrain", CHART, "--values=-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"at '{where}'" in done.stderr
    assert what in done.stderr


def test_twenty_kinds_of_mistakes_are_tried() -> None:
    assert len(WRONG) >= 20


def parts(schema: dict[str, Any], path: str = "values") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every described part of the schema, with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}[]")


def test_every_value_has_a_type_and_a_description() -> None:
    bare = [path for path, part in parts(SCHEMA) if not (part.get("type") and part.get("description"))]
    assert bare == []
    assert len(list(parts(SCHEMA))) > 60


def test_values_that_are_not_described_are_refused_everywhere_but_beside_a_parent_charts_own() -> None:
    loose = [
        path for path, part in parts(SCHEMA) if "properties" in part and part.get("additionalProperties") is not False
    ]
    assert loose == ["values.global"]


def test_the_file_of_defaults_has_every_value_of_the_schema() -> None:
    def names(schema: dict[str, Any], values: Any, path: str) -> Iterator[str]:
        for name, part in schema.get("properties", {}).items():
            if name not in values:
                yield f"{path}.{name}"
            else:
                yield from names(part, values[name], f"{path}.{name}")

    assert list(names(SCHEMA, DEFAULTS, "values")) == []
