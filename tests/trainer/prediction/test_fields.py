"""`dltrain predict` on rows of a table: words and numbers are what the training data made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from dltrain_trainer.data.readers.rows import GAPS, TRUTHS
from dltrain_trainer.export import load
from dltrain_trainer.predict import read_samples
from dltrain_trainer.run import Run
from tests.trainer.builders import npz, pipeline_job
from tests.trainer.prediction.asking import refusal
from tests.trainer.prediction.tables import exported, table_job


def forget_columns(folder: Path) -> Path:
    """Describe a model as artefacts of before were, with the shape of a row only."""
    found = json.loads((folder / "model.json").read_text())
    found["input"] = {"type": "float32", "shape": found["input"]["shape"]}
    (folder / "model.json").write_text(json.dumps(found))
    return folder


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(
            "age,zone,town,member\n30,1,Bonn,true\n30,1,Paris,true\n",
            "column town, row 2: must be one of Bonn, Köln, Deutz, Ulm, or empty for none of them (got Paris)",
            id="an unknown word",
        ),
        pytest.param(
            "bonn,30,1,true\n",
            "column town, row 1: must be one of Bonn, Köln, Deutz, Ulm, or empty for none of them (got bonn)",
            id="an unknown word in the first line",
        ),
        pytest.param(
            "age,zone,town,member\n30,3,Bonn,true\n",
            "column zone, row 1: must be one of 1, 2, a, or empty for none of them (got 3)",
            id="a number that is no word",
        ),
        pytest.param(
            "age,zone,town,member\nold,1,Bonn,true\n",
            "column age, row 1: must be a finite number, or empty (got old)",
            id="text for a number",
        ),
        pytest.param(
            "age,zone,town,member\n1e39,1,Bonn,true\n",
            "column age, row 1: must be a finite number, or empty (got 1e39)",
            id="a number that is too large",
        ),
        pytest.param(
            "age,town,members,zone\n30,Bonn,true,1\n", "has no column member; did you mean members?", id="no column"
        ),
        pytest.param(
            "town;age;zone;member\nUlm;30;1;true\n",
            "has no column town; it has town;age;zone;member",
            id="fields that end in another way",
        ),
        pytest.param(
            "age,zone,age,town,member\n3,1,4,Ulm,true\n",
            "has column age more than once; give each column a name of its own",
            id="a column twice",
        ),
        pytest.param(
            "age,zone,town,member\n30,1,Bonn,true\n30,1,Bonn\n",
            "row 2 has 3 fields between ',', it must have 4: age, zone, town, member",
            id="a short row",
        ),
        pytest.param(
            "Bonn,30,1,true,cat\n",
            "row 1 has 5 fields between ',', it must have 4: town, age, zone, member",
            id="no header and too many fields",
        ),
        pytest.param("age,zone,town,member\n", "has no rows", id="a header only"),
        pytest.param("", "has no rows", id="nothing"),
    ],
)
def test_a_file_that_does_not_fit_the_training_data_is_one_line_and_exit_code_2(
    table_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, problem: str
) -> None:
    (tmp_path / "rows.csv").write_text(content)
    assert refusal(capsys, table_run.output, tmp_path / "rows.csv") == problem


def test_rows_are_no_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = exported(pipeline_job(npz(tmp_path / "data.npz")), tmp_path / "out")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    said = "holds rows, and samples must have shape (1, 8, 8); the model was trained so"
    assert refusal(capsys, model, tmp_path / "rows.csv") == said


def test_gaps_and_truth_values_are_those_of_the_library_that_reads_the_training_data() -> None:
    options = pa.csv.ConvertOptions()
    numbers = {"0", "1"}
    assert set(options.null_values) == GAPS
    assert {word for word, value in TRUTHS.items() if value} == set(options.true_values) - numbers
    assert {word for word, value in TRUTHS.items() if not value} == set(options.false_values) - numbers


@pytest.mark.parametrize("gap", ["NAN", "-NAN", "Nan", "+nan"])
def test_a_number_that_is_none_is_missing_however_it_is_written(table_run: Run, tmp_path: Path, gap: str) -> None:
    (tmp_path / "rows.csv").write_text(f"age,zone,town,member\n{gap},1,Bonn,true\n")
    (found,) = read_samples(tmp_path / "rows.csv", (4,), load(table_run.output).rows)
    assert np.isnan(found).tolist() == [False, True, False, False]


@pytest.mark.parametrize("header", ["town,age,zone,member\n", ""])
def test_text_is_refused_where_the_description_does_not_have_its_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    model = forget_columns(exported(table_job(tmp_path), tmp_path / "out"))
    (tmp_path / "rows.csv").write_text(f"{header}1,30,0,1\n1,30,a,1\n")
    column = "zone" if header else "2"
    problem = "must be a finite number, or empty (got a); model.json has no words for it: train the model anew"
    assert refusal(capsys, model, tmp_path / "rows.csv") == f"column {column}, row 2: {problem}"
