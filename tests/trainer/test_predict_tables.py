"""`dltrain predict` on rows of a table: columns by name, words by what the training data made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch

from dltrain.api.job import DLTrainJob
from dltrain_trainer.data.readers.rows import GAPS, NAMELESS, TRUTHS
from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.missing import Fill
from dltrain_trainer.data.transforms.pca import Project
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.errors import DataError
from dltrain_trainer.export import load, save
from dltrain_trainer.predict import main, read_samples
from dltrain_trainer.predict_gaps import check_complete
from dltrain_trainer.run import Run
from dltrain_trainer.stages import data as data_stage
from dltrain_trainer.stages import evaluate, export
from dltrain_trainer.stages.train import new_artifact
from tests.trainer.builders import new_run, npz, pipeline_job, trained

TRANSFORMS: list[dict[str, Any]] = [
    {"impute": {"columns": ["age"]}},
    {"oneHot": {"columns": ["town", "zone"]}},
    {"normalize": {"columns": ["age"]}},
]
COLUMNS = ("town", "age", "zone", "member", "kind")
TOWNS, ZONES = ("Bonn", "Köln, Deutz", "Ulm", "Ulm", ""), ("1", "2", "a")
CLASSES = ["cat", "dog"]


def rows_of(count: int) -> list[dict[str, str]]:
    """Rows of text, whose kind is known by the town; towns and ages are missing here and there."""
    return [
        {
            "town": TOWNS[index % 5],
            "age": "" if index % 7 == 3 else str(20 + 13 * index % 50),
            "zone": ZONES[index % 3],
            "member": ("true", "false")[index % 4 // 2],
            "kind": "dog" if TOWNS[index % 5] == "Ulm" else "cat",
        }
        for index in range(count)
    ]


TESTED = rows_of(11)


def written(
    file: Path,
    rows: list[dict[str, str]],
    columns: tuple[str, ...] = COLUMNS,
    *,
    header: bool = True,
    delimiter: str = ",",
) -> Path:
    """Some rows in a file, every field in quotes but empty ones."""
    lines = [[f'"{row[name]}"' if row[name] else "" for name in columns] for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{delimiter.join(line)}\n" for line in ([list(columns)] if header else []) + lines))
    return file


def table_job(folder: Path, delimiter: str = ",") -> DLTrainJob:
    """A job on such rows, which classifies them."""
    written(folder / "rows" / "train.csv", rows_of(40), delimiter=delimiter)
    written(folder / "rows" / "test.csv", TESTED, delimiter=delimiter)
    data = {"format": "csv", "target": ["kind"], "transforms": TRANSFORMS, "delimiter": delimiter}
    formats = {"formats": ["safetensors", "onnx"]}
    return pipeline_job(folder / "rows", model="linear", epochs=8, data=data, export=formats)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished job on rows of text and numbers, with model.onnx."""
    folder = tmp_path_factory.mktemp("job")
    done = trained(table_job(folder), folder / "out")
    evaluate.run(done)
    export.run(done)
    return done


def exported(job: DLTrainJob, folder: Path) -> Path:
    """The folder of a job's model before its first step, and of the description of its rows."""
    run = new_run(job, folder)
    data_stage.run(run)
    save(new_artifact(run), folder, {}, run.data.dataset.test.inputs)
    return folder


def forget_columns(folder: Path) -> Path:
    """Describe a model as artefacts of before were, with the shape of a row only."""
    found = json.loads((folder / "model.json").read_text())
    found["input"] = {"type": "float32", "shape": found["input"]["shape"]}
    (folder / "model.json").write_text(json.dumps(found))
    return folder


def said(capsys: pytest.CaptureFixture[str], model: Path, file: Path) -> list[dict[str, Any]]:
    """What the command says of each row."""
    code, printed = main([str(model), str(file)]), capsys.readouterr()
    assert (code, printed.err) == (0, "")
    return [json.loads(line) for line in printed.out.splitlines()]


def refusal(capsys: pytest.CaptureFixture[str], model: Path, file: Path) -> str:
    """What the command says of a file that it refuses, without the file's name."""
    code, printed = main([str(model), str(file)]), capsys.readouterr()
    assert (code, printed.out) == (2, "")
    return printed.err.removeprefix(f"error: {file}: ").removesuffix("\n")


def own_answers(run: Run) -> list[dict[str, Any]]:
    """What the trained model itself says of the rows of the test split, as the training read them."""
    rows = run.artifact.predict(run.data.dataset.test.inputs).double().softmax(1).tolist()
    answers = [{"class": CLASSES[int(row[1] > row[0])], "probability": max(row)} for row in rows]
    assert [one["class"] for one in answers] == [row["kind"] for row in TESTED], "the model has learnt the towns"
    return [{**one, "probability": pytest.approx(one["probability"], abs=1e-5)} for one in answers]


# ---------------------------------------------------------------- which columns
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
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: tuple[str, ...], name: str
) -> None:
    file = written(tmp_path / "rows.csv", TESTED, columns)
    assert said(capsys, run.output / name, file) == own_answers(run)


def test_the_columns_of_a_file_without_a_header_are_taken_by_their_place(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "rows.csv", TESTED, COLUMNS[:-1], header=False)
    assert said(capsys, run.output, file) == own_answers(run)


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


# ---------------------------------------------------------------- what a field may be
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
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, problem: str
) -> None:
    (tmp_path / "rows.csv").write_text(content)
    assert refusal(capsys, run.output, tmp_path / "rows.csv") == problem


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
def test_a_number_that_is_none_is_missing_however_it_is_written(run: Run, tmp_path: Path, gap: str) -> None:
    (tmp_path / "rows.csv").write_text(f"age,zone,town,member\n{gap},1,Bonn,true\n")
    (found,) = read_samples(tmp_path / "rows.csv", (4,), load(run.output).rows)
    assert np.isnan(found).tolist() == [False, True, False, False]


# ---------------------------------------------------------------- what may be missing
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
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("age,zone,town,member\n,1,Bonn,true\n,1,Bonn,\n")
    assert refusal(capsys, run.output, tmp_path / "rows.csv") == f"column member, row 2: {GAP}"


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


def test_rows_can_be_read_in_python_for_the_model_of_a_folder(run: Run, tmp_path: Path) -> None:
    artifact = load(run.output)
    samples = read_samples(written(tmp_path / "rows.csv", TESTED), (4,), artifact.rows)
    assert artifact.rows == run.artifact.rows
    assert np.array_equal(samples, run.data.dataset.test.inputs.numpy(), equal_nan=True)


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


@pytest.mark.parametrize("header", ["town,age,zone,member\n", ""])
def test_text_is_refused_where_the_description_does_not_have_its_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    model = forget_columns(exported(table_job(tmp_path), tmp_path / "out"))
    (tmp_path / "rows.csv").write_text(f"{header}1,30,0,1\n1,30,a,1\n")
    column = "zone" if header else "2"
    problem = "must be a finite number, or empty (got a); model.json has no words for it: train the model anew"
    assert refusal(capsys, model, tmp_path / "rows.csv") == f"column {column}, row 2: {problem}"
