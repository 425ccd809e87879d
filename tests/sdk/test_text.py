"""Reading JSON without the reader of YAML."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.document import load_document
from dltrain.api.text import plain_json
from tests.sdk.builders import document

SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text("aé1: -#\"\\'", max_size=5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner), max_leaves=8)


@given(st.dictionaries(st.text("abc", min_size=1), VALUES))
def test_json_has_the_values_that_yaml_reads_in_it(values: dict[str, object]) -> None:
    text = json.dumps(values)
    assert plain_json(text) == load_document(text) == values


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("apiVersion: dltrain.io/v1alpha1", id="YAML"),
        pytest.param("[1]", id="a list"),
        pytest.param('{"a": 1} {"b": 2}', id="two objects"),
        pytest.param('{"a": 1, "a": 2}', id="a key given twice"),
        pytest.param('{"a": {"b": 1, "b": 2}}', id="a key given twice inside"),
        pytest.param('{"a": NaN}', id="no number"),
        pytest.param('{"a": ' * 100_000, id="nested too deeply"),
        pytest.param("", id="nothing"),
    ],
)
def test_all_else_is_left_to_the_reader_of_yaml(text: str) -> None:
    assert plain_json(text) is None


def test_a_job_that_is_json_is_read_without_importing_yaml(tmp_path: Path) -> None:
    """Agents start on it, and YAML would take a tenth of that time."""
    file = tmp_path / "job.json"
    file.write_text(json.dumps(document()))
    code = f"""
import pathlib, sys
from dltrain_agent.__main__ import main
from dltrain.api.parse import parse_job_file
parse_job_file(pathlib.Path({str(file)!r}))
print("yaml" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
