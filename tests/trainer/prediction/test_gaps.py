"""`dltrain predict` where values are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dltrain.api.job import DLTrainJob
from dltrain_trainer.data.readers.rows import NAMELESS
from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.missing import Fill
from dltrain_trainer.data.transforms.pca import Project
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.errors import DataError
from dltrain_trainer.export import load
from dltrain_trainer.prediction.gaps import check_complete
from dltrain_trainer.run import Run
from dltrain_trainer.stages import evaluate, export
from tests.trainer.builders import pipeline_job, trained
from tests.trainer.prediction.asking import refusal, said
from tests.trainer.prediction.tables import TRANSFORMS, rows_of, written

GAP = "has no value, and the model has no impute step for this column; fill it in, or train with impute"


def complete_job(folder: Path, **data: Any) -> DLTrainJob:
    """A job on rows of which none lacks a value; only text could."""
    rows = [{**row, "age": row["age"] or "44"} for row in rows_of(40)]
    written(folder / "rows" / "train.csv", rows)
    written(folder / "rows" / "test.csv", rows[:11])
    return pipeline_job(
        folder / "rows",
        model="linear",
        epochs=1,
        data={"format": "csv", "target": ["kind"], "transforms": TRANSFORMS[1:], **data},
        export={"formats": ["safetensors", "onnx"]},
    )


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished job without impute, with model.onnx."""
    folder = tmp_path_factory.mktemp("complete")
    done = trained(complete_job(folder), folder / "out")
    evaluate.run(done)
    export.run(done)
    return done.output


@pytest.fixture(params=["", "model.onnx"])
def asked(request: pytest.FixtureRequest, complete: Path) -> Path:
    """Its model in each of its two kinds."""
    return Path(complete / request.param)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        pytest.param(",1,Bonn,true\n", f"column age, row 1: {GAP}", id="the first field"),
        pytest.param("30,1,Bonn,true\n30,1,Bonn,\n,1,Bonn,true\n", f"column member, row 2: {GAP}", id="a later one"),
        pytest.param("30,1,Bonn,true\n" * 300 + "NaN,,,\n", f"column age, row 301: {GAP}", id="beside missing words"),
    ],
)
def test_a_missing_number_that_nothing_stands_for_is_named_and_nothing_is_predicted(
    asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, problem: str
) -> None:
    (tmp_path / "rows.csv").write_text(f"age,zone,town,member\n{rows}")
    capsys.readouterr()
    assert refusal(capsys, asked, tmp_path / "rows.csv") == problem


def test_a_missing_word_is_none_of_the_words(
    asked: Path, complete: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("age,zone,town,member\n30,,,true\n")
    capsys.readouterr()
    (answer,) = said(capsys, asked, tmp_path / "rows.csv")
    outputs = load(complete).predict(torch.tensor([[torch.nan, 30.0, torch.nan, 1.0]])).softmax(1)
    assert answer["probability"] == pytest.approx(float(outputs.max()), abs=1e-5)


def test_a_number_may_be_missing_in_the_columns_that_are_imputed_only(
    table_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("age,zone,town,member\n,1,Bonn,true\n,1,Bonn,\n")
    assert refusal(capsys, table_run.output, tmp_path / "rows.csv") == f"column member, row 2: {GAP}"


@pytest.mark.parametrize(
    ("shape", "gap", "problem"),
    [
        pytest.param((3, 2), (1, 0), f"column 0, row 2: {GAP}", id="rows"),
        pytest.param((3, 4, 2), (2, 1, 1), f"sample 3, column 1, row 2: {GAP}", id="series"),
        pytest.param((4, 2), (3, 1), f"column 1, row 4: {GAP}", id="one series"),
    ],
)
def test_a_missing_value_of_an_array_is_named_by_its_places(
    tmp_path: Path, shape: tuple[int, ...], gap: tuple[int, ...], problem: str
) -> None:
    samples = np.zeros(shape, np.float32)
    samples[gap] = np.nan
    samples = samples[None] if problem.startswith("column 1, row 4") else samples
    with pytest.raises(DataError) as refused:
        check_complete(samples, Preprocessing([Affine([0.0, 1.0], [1.0, 2.0], 0)]), NAMELESS, "a.npy")
    assert str(refused.value) == f"a.npy: {problem}"


def test_a_missing_value_is_refused_behind_a_step_that_mixes_columns_only_where_it_gets_there() -> None:
    steps = [Fill([None, 2.0]), Project([0.5, 0.5], [[1.0, 1.0]], flatten=False)]
    check_complete(np.array([[1, np.nan]], np.float32), Preprocessing(steps), NAMELESS, "a.npy")
    with pytest.raises(DataError, match=r"^a.npy: column 0, row 8: has no value"):
        check_complete(np.array([[np.nan, np.nan]], np.float32), Preprocessing(steps), NAMELESS, "a.npy", first=8)
