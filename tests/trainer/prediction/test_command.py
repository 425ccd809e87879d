"""`dltrain predict`: raw samples of every kind, models of both kinds, and mistakes told in a line."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dltrain_trainer.errors import CheckpointError, DataError
from dltrain_trainer.export import load, save
from dltrain_trainer.predict import main, predictor, read_samples
from dltrain_trainer.prediction.predictor import answer, check_finite
from dltrain_trainer.run import Run
from tests.trainer.builders import arrays

IMAGES, _ = arrays(5, seed=2)


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


def test_a_type_that_no_model_has_is_a_damaged_description(run: Run, tmp_path: Path) -> None:
    about = json.loads((run.output / "model.json").read_text())
    about["input"]["type"] = "int4"
    (tmp_path / "model.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError) as refused:
        predictor(tmp_path)
    said = "is no exported model: input.type must be uint8 or float32 (got int4)"
    assert str(refused.value) == f"{tmp_path}: {said}"


# ---------------------------------------------------------------- where answers go
def test_whoever_reads_a_few_answers_only_sees_no_error(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.zeros((5000, 8, 8), np.uint8))  # more than a pipe holds
    command = [sys.executable, "-m", "dltrain", "predict", str(run.output), str(tmp_path / "many.npy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asked:
        assert asked.stdout is not None
        assert asked.stderr is not None
        assert json.loads(asked.stdout.readline())["probability"] > 0
        asked.stdout.close()
        assert (asked.stderr.read(), asked.wait()) == ("", 0)


def test_answers_that_cannot_be_written_are_an_error(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dltrain", "predict", str(run.output), str(written(tmp_path, "npy"))]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: the answers cannot be written (No space left on device)\n")


# ---------------------------------------------------------------- answers that are none
def test_the_answers_of_a_diverged_model_are_an_error(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy.deepcopy(run.artifact.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    save(replace(run.artifact, model=model), tmp_path, {}, run.data.dataset.test.inputs)
    capsys.readouterr()
    code, printed = main([str(tmp_path), str(written(tmp_path, "npy"))]), capsys.readouterr()
    said = "the model has no finite answer (got nan); its training has diverged, or the values are far from those that "
    assert (code, printed.out) == (2, "")
    assert printed.err == f"error: {tmp_path}/samples.npy: sample 1: {said}it was trained on\n"


def test_the_sample_without_an_answer_is_named() -> None:
    check_finite(torch.zeros(3, 2), "a.npy", 1)
    with pytest.raises(DataError, match=r"^a.npy: sample 259: the model has no finite answer \(got -inf\); "):
        check_finite(torch.tensor([[0.0, 1.0], [0.0, 1.0], [2.0, -torch.inf]]), "a.npy", 257)


@pytest.mark.parametrize("name", ["pictures", "rows.csv", "a.png", "a.npy"])
def test_samples_that_are_not_there_are_missing_and_of_no_wrong_kind(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as refused:
        predictor(run.output).said_of(tmp_path / name)
    assert str(refused.value) == f"{tmp_path}/{name}: cannot be read (No such file or directory); check the path"


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"model.json: cannot be read .*; name the folder of a job"):
        predictor(tmp_path)


def test_a_file_of_a_job_that_is_no_graph_is_no_model(tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(CheckpointError) as refused:
            predictor(tmp_path / name)
        said = "is no model that can be asked; name the folder of a job, or an .onnx file in it"
        assert str(refused.value) == f"{tmp_path}/{name}: {said}"
