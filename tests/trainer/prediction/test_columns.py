"""`dltrain predict` on rows of a table: which column is which, by name or by place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dltrain_trainer.export import load
from dltrain_trainer.predict import read_samples
from dltrain_trainer.run import Run
from tests.trainer.builders import pipeline_job
from tests.trainer.prediction.asking import refusal, said
from tests.trainer.prediction.tables import COLUMNS, TESTED, exported, own_answers, rows_of, table_job, written


@pytest.mark.parametrize("name", ["", "model.onnx"])
@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(COLUMNS, id="as in training"),
        pytest.param(("member", "kind", "zone", "town", "age"), id="in another order"),
        pytest.param(("zone", "age", "town", "member"), id="without the target"),
    ],
)
def test_the_columns_of_a_file_with_a_header_are_found_by_name(
    table_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: tuple[str, ...], name: str
) -> None:
    file = written(tmp_path / "rows.csv", TESTED, columns)
    assert said(capsys, table_run.output / name, file) == own_answers(table_run)


def test_the_columns_of_a_file_without_a_header_are_taken_by_their_place(
    table_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "rows.csv", TESTED, COLUMNS[:-1], header=False)
    assert said(capsys, table_run.output, file) == own_answers(table_run)


def test_a_first_line_of_known_words_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"format": "csv", "target": ["kind"], "transforms": [{"oneHot": {"columns": ["town"]}}]}
    for name in ("train", "test"):
        written(tmp_path / "rows" / f"{name}.csv", rows_of(12), ("town", "kind"))
    model = exported(pipeline_job(tmp_path / "rows", model="linear", data=data), tmp_path / "out")
    with_header = written(tmp_path / "a.csv", rows_of(3), ("town",))
    without = written(tmp_path / "b.csv", rows_of(3), ("town",), header=False)
    assert len(said(capsys, model, with_header)) == 3
    assert said(capsys, model, without) == said(capsys, model, with_header)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_fields_end_where_those_of_the_training_data_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], delimiter: str
) -> None:
    commas = exported(table_job(tmp_path / "commas"), tmp_path / "commas" / "out")
    others = exported(table_job(tmp_path / "others", delimiter), tmp_path / "others" / "out")
    file = written(tmp_path / "rows.csv", TESTED, delimiter=delimiter)
    assert said(capsys, others, file) == said(capsys, commas, written(tmp_path / "same.csv", TESTED))


@pytest.mark.parametrize("shape", [pytest.param((1,), id="rows"), pytest.param((3, 1), id="a series")])
def test_a_file_of_one_column_has_a_row_on_every_line(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n2.5\n-3\n")
    numbers = np.array([1, 2.5, -3], np.float32).reshape(-1, *shape)
    found = read_samples(tmp_path / "rows.csv", shape)
    assert (found.dtype, found.shape, found.tolist()) == (numbers.dtype, numbers.shape, numbers.tolist())


# ---------------------------------------------------------------- what is kept for it
def test_the_description_has_the_columns_their_words_and_what_is_between_fields(tmp_path: Path) -> None:
    folder = exported(table_job(tmp_path, ";"), tmp_path / "out")
    assert json.loads((folder / "model.json").read_text())["input"] == {
        "type": "float32",
        "shape": [4],
        "columns": [
            {"name": "town", "words": ["Bonn", "Köln, Deutz", "Ulm"]},
            {"name": "age", "words": []},
            {"name": "zone", "words": ["1", "2", "a"]},
            {"name": "member", "words": []},
        ],
        "delimiter": ";",
    }


def test_rows_can_be_read_in_python_for_the_model_of_a_folder(table_run: Run, tmp_path: Path) -> None:
    artifact = load(table_run.output)
    samples = read_samples(written(tmp_path / "rows.csv", TESTED), (4,), artifact.rows)
    assert artifact.rows == table_run.artifact.rows
    assert np.array_equal(samples, table_run.data.dataset.test.inputs.numpy(), equal_nan=True)


def npz_table(folder: Path, columns: int) -> Path:
    """A model of rows of numbers whose columns have no names."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(30, columns)).astype(np.float32), np.arange(30) % 2
    folder.mkdir(parents=True)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return exported(pipeline_job(folder / "data.npz", model="linear"), folder / "out")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="none"),
        pytest.param("a,b,c\n", id="of any names"),
        pytest.param("0,1,2\n", id="of places"),
        pytest.param("age,2020,2021\n", id="with years"),
    ],
)
def test_columns_without_names_are_taken_by_their_place_whatever_the_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    model = npz_table(tmp_path / "job", 3)
    assert json.loads((model / "model.json").read_text())["input"] == {"type": "float32", "shape": [3]}
    np.save(tmp_path / "rows.npy", np.array([[2, 1, 0], [-3, 0.5, 8]], np.float32))
    (tmp_path / "rows.csv").write_text(f"{header}2,1,0\n-3,0.5,8\n")
    assert said(capsys, model, tmp_path / "rows.csv") == said(capsys, model, tmp_path / "rows.npy")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("a\n1,2,3\n", "row 1 has 3 fields between ',', it must have 2: 0, 1", id="too many fields"),
        pytest.param("a,b\n1\n", "row 1 has 1 fields between ',', it must have 2: a, b", id="too few fields"),
        pytest.param(
            "0,1\n1,2\n",
            "its first line, 0, 1, may be a header or a row; name columns in letters",
            id="a header that may be a row",
        ),
        pytest.param(
            "5.1,old\n1,2\n",
            "its first line, 5.1, old, may be a header or a row; name columns in letters",
            id="a word among numbers",
        ),
        pytest.param(
            "5.1,inf\n1,2\n",
            "column 1, row 1: must be a finite number, or empty (got inf); model.json has no words for it: train the "
            "model anew",
            id="a first row that is not finite",
        ),
    ],
)
def test_rows_that_do_not_fit_columns_without_names_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, problem: str
) -> None:
    (tmp_path / "rows.csv").write_text(content)
    assert refusal(capsys, npz_table(tmp_path / "job", 2), tmp_path / "rows.csv") == problem
