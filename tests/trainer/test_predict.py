"""`dltrain predict`: raw samples of every kind, models of both kinds, and mistakes told in a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dltrain_trainer.errors import DataError
from dltrain_trainer.export import load
from dltrain_trainer.predict import answer, predictor, read_samples
from dltrain_trainer.run import Run
from dltrain_trainer.stages import evaluate, export
from tests.trainer.builders import arrays, npz, pipeline_job, trained

IMAGES, _ = arrays(5, seed=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished job on pictures of 8 x 8 in grey, with model.onnx."""
    folder = tmp_path_factory.mktemp("job")
    job = pipeline_job(npz(folder / "data.npz", 60), epochs=4, export={"formats": ["safetensors", "onnx"]})
    done = trained(job, folder / "out")
    evaluate.run(done)
    export.run(done)
    return done


def written(folder: Path, kind: str) -> Path:
    """The same pictures in files of a kind."""
    file = folder / f"samples.{kind}"
    if kind == "npy":
        np.save(file, IMAGES)
    elif kind == "npz":
        np.savez(file, x=IMAGES[:, None])
    else:
        file.mkdir()
        for index, image in enumerate(IMAGES):
            Image.fromarray(image).save(file / f"{index}.png")
    return file


@pytest.mark.parametrize("kind", ["npy", "npz", "pictures"])
def test_samples_are_read_from_files_of_every_kind(tmp_path: Path, kind: str) -> None:
    assert np.array_equal(read_samples(written(tmp_path, kind), (1, 8, 8)), IMAGES[:, None])


def test_a_picture_of_16_bits_is_refused_as_in_training(tmp_path: Path) -> None:
    folder = written(tmp_path, "pictures")
    Image.new("I;16", (8, 8), 1000).save(folder / "3.png")
    with pytest.raises(DataError) as refused:
        read_samples(folder, (1, 8, 8))
    with Image.open(folder / "3.png") as image:
        mode = image.mode
    assert str(refused.value) == f"{folder}/3.png: has more than 8 bits a channel (mode {mode}); convert it to 8"


def test_rows_of_a_table_may_lack_values(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("a,b\n1,2\n3,\n")
    assert np.array_equal(read_samples(table, (2,)), np.array([[1, 2], [3, np.nan]], np.float32), equal_nan=True)


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_the_command_says_what_the_model_says(run: Run, tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "dltrain", "predict", str(run.output / name), str(written(tmp_path, "npy"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wanted = load(run.output).predict(run.data.dataset.test.inputs.new_tensor(IMAGES[:, None])).softmax(1)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["class"] for one in said] == wanted.argmax(1).tolist()
    assert [one["probability"] for one in said] == pytest.approx(wanted.amax(1).tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("row", "task", "classes", "said"),
    [
        pytest.param([0.1, 0.9], "classification", ["cat", "dog"], {"class": "dog", "probability": 0.9}, id="classes"),
        pytest.param([0.1, 0.9], "classification", [], {"class": 1, "probability": 0.9}, id="classes without names"),
        pytest.param(
            [0.6, 0.2], "multilabel", ["a", "b"], {"labels": ["a"], "probabilities": {"a": 0.6, "b": 0.2}}, id="labels"
        ),
        pytest.param([1.5], "regression", [], {"values": [1.5]}, id="numbers"),
    ],
)
def test_an_answer_is_in_the_words_of_its_task(
    row: list[float], task: str, classes: list[str], said: dict[str, Any]
) -> None:
    assert answer(row, task, classes) == said


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("text", "must be .npy, .npz, .csv, a picture or a folder of pictures (got .txt)", id="kind"),
        pytest.param(None, "samples must have shape (1, 8, 8) (got (1, 4, 4)); the model was trained so", id="shape"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run: Run, tmp_path: Path, content: str | None, problem: str) -> None:
    file = tmp_path / ("wrong.txt" if content else "wrong.npy")
    if content:
        file.write_text(content)
    else:
        np.save(file, np.zeros((2, 1, 4, 4), np.uint8))
    command = [sys.executable, "-m", "dltrain", "predict", str(run.output), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {file}: {problem}\n")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"model.json: cannot be read .*; name the folder of a job"):
        predictor(tmp_path)
