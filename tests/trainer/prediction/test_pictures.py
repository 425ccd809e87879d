"""`dltrain predict` on pictures of any size: what the evaluation of the job has said of the same files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dltrain_trainer.data.readers.image_folder import find_images
from dltrain_trainer.errors import DataError
from dltrain_trainer.export.exportable import exportable
from dltrain_trainer.export.graph import graph_of
from dltrain_trainer.export.onnx import join
from dltrain_trainer.predict import main, predictor, read_samples
from dltrain_trainer.prediction.form import BATCH, InputFormat, batch_size
from dltrain_trainer.prediction.pictures import batches
from dltrain_trainer.prediction.samples import read_batches
from dltrain_trainer.run import Run
from dltrain_trainer.stages import evaluate, export
from tests.trainer.builders import npz, pipeline_job, trained

SIZES = ((40, 30), (33, 47), (16, 12), (9, 25))
CLASSES = ("a", "b")
SIZE = {"height": 16, "width": 12}
FIRST_STEPS: dict[str, list[dict[str, Any]]] = {
    "nearest": [{"resize": {**SIZE, "method": "nearest"}}],
    "denoised before": [{"denoise": {}}, {"resize": SIZE}],
    "denoised after": [{"resize": {**SIZE, "method": "bicubic"}}, {"denoise": {"method": "gaussian", "sigma": 0.8}}],
}


@dataclass(frozen=True, slots=True)
class Job:
    """A finished job on pictures of several sizes."""

    run: Run
    files: tuple[Path, ...]
    """Of its test split, in order."""

    @property
    def answers(self) -> list[dict[str, Any]]:
        """What its evaluation says of the test split."""
        with torch.no_grad():
            logits = self.run.artifact.model(self.run.data.prepare(self.run.data.dataset.test.inputs))
        rows = logits.double().softmax(1).tolist()
        return [answer_of(row) for row in rows]


def answer_of(row: list[float]) -> dict[str, Any]:
    """A row of probabilities in the words of the command; a byte that is rounded otherwise changes it by less."""
    return {"class": CLASSES[int(row[1] > row[0])], "probability": pytest.approx(max(row), abs=2e-3)}


def pixels(generator: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Noise: what is smoothed, how and when makes a difference, and no model can be sure of its class."""
    return generator.integers(0, 256, (*size, 3), dtype=np.uint8)


def pictures(root: Path) -> Path:
    """A folder of PNG files in sizes that change in turns."""
    generator = np.random.default_rng(5)
    for split, count in (("train", 12), ("test", 8)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                size = SIZES[index % len(SIZES)]
                Image.fromarray(pixels(generator, size)).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="module", params=FIRST_STEPS)
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A job whose transforms begin with each of the first steps, with model.onnx."""
    folder = tmp_path_factory.mktemp("job")
    root = pictures(folder / "pictures")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DLTRAIN_CACHE", str(folder / "cache"))
        data = {"format": "image-folder", "transforms": [*FIRST_STEPS[request.param], {"normalize": {}}]}
        formats = {"formats": ["safetensors", "onnx"]}
        run = trained(pipeline_job(root, model="linear", epochs=1, data=data, export=formats), folder / "out")
        evaluate.run(run)
        export.run(run)
        yield Job(run, find_images(root, print).splits["test"].paths)


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_every_picture_goes_the_way_of_those_of_the_evaluation(job: Job, name: str) -> None:
    model = predictor(job.run.output / name)
    assert [answer for file in job.files for answer in model.said_of(file)] == job.answers


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_a_folder_of_pictures_of_several_sizes_is_answered_in_the_order_of_names(
    job: Job, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = job.files[0].parent
    wanted = [answer for file, answer in zip(job.files, job.answers, strict=True) if file.parent == folder]
    names = [file.name for file in job.files if file.parent == folder]
    assert main([str(job.run.output / name), str(folder)]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [wanted[names.index(each)] for each in sorted(names)]


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_an_array_of_raw_pictures_may_have_any_size_too(job: Job, tmp_path: Path, name: str) -> None:
    file, answer = job.files[0], job.answers[0]
    with Image.open(file) as image:
        np.save(tmp_path / "one.npy", np.moveaxis(np.array(image), 2, 0))
    assert predictor(job.run.output / name).said_of(tmp_path / "one.npy") == [answer]


def test_the_description_says_that_pictures_may_have_any_size(job: Job) -> None:
    described = json.loads((job.run.output / "model.json").read_text())
    assert described["input"] == {"type": "uint8", "shape": [3, None, None]}


# ---------------------------------------------------------------- models of before
def size_of(file: Path) -> tuple[int, int]:
    """The width and the height of a picture."""
    with Image.open(file) as image:
        return image.size


def old_folder(job: Job, folder: Path) -> Path:
    """The model as earlier versions have described it: with the size after scaling."""
    described = json.loads((job.run.output / "model.json").read_text())
    described["input"]["shape"] = [3, 16, 12]
    (folder / "model.json").write_text(json.dumps(described))
    (folder / "model.safetensors").write_bytes((job.run.output / "model.safetensors").read_bytes())
    return folder


def old_graph(job: Job, folder: Path) -> Path:
    """The model as a graph of earlier versions, which takes that size only."""
    artifact, sample = job.run.artifact, job.run.data.dataset.test.inputs
    before = graph_of(exportable(artifact.preprocessing.whole.steps), sample)
    after = graph_of(artifact.model, artifact.preprocessing(sample))
    file = old_folder(job, folder) / "model.onnx"
    file.write_bytes(join(before, after).SerializeToString())
    return file


def test_the_folder_of_an_earlier_version_gives_the_answers_of_its_evaluation(job: Job, tmp_path: Path) -> None:
    model = predictor(old_folder(job, tmp_path))
    assert [answer for file in job.files for answer in model.said_of(file)] == job.answers


@pytest.mark.parametrize("job", ["nearest", "denoised after"], indirect=True)
def test_so_does_a_graph_of_an_earlier_version_that_begins_with_scaling(job: Job, tmp_path: Path) -> None:
    model = predictor(old_graph(job, tmp_path))
    assert [answer for file in job.files for answer in model.said_of(file)] == job.answers


@pytest.mark.parametrize("job", ["denoised before"], indirect=True)
def test_a_graph_of_an_earlier_version_that_begins_otherwise_takes_one_size_only(job: Job, tmp_path: Path) -> None:
    model = predictor(old_graph(job, tmp_path))
    small = next(index for index, file in enumerate(job.files) if size_of(file) == (12, 16))
    Image.new("RGB", (13, 16), (9, 9, 9)).save(tmp_path / "large.png")
    assert model.said_of(job.files[small]) == [job.answers[small]]
    with pytest.raises(DataError) as refused:
        model.said_of(tmp_path / "large.png")
    said = (
        "is of an earlier version, takes pictures of 12 x 16 pixels only, and denoises them after scaling instead of "
    )
    assert str(refused.value) == (
        f"{tmp_path}/model.onnx: {said}before; predict with the folder that it is in, or export it anew"
    )


# ---------------------------------------------------------------- reading
def test_neighbours_of_one_size_are_read_together(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    shapes = [(20, 10), (20, 10), (10, 20), (20, 10)]
    images = [pixels(generator, shape) for shape in shapes]
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".0.png").write_text("another system's")
    planes = [image.transpose(2, 0, 1) for image in images]
    found = list(read_batches(tmp_path, InputFormat("uint8", (3, None, None))))
    wanted = [np.stack(planes[:2]), planes[2][None], planes[3][None]]
    assert [batch.tolist() for batch in found] == [batch.tolist() for batch in wanted]


def test_a_picture_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage on a network answers each opening late."""
    for index in range(3):
        Image.new("L", (8, 8), index).save(tmp_path / f"{index}.png")
    opened, really = list[str](), Image.open

    def counted(file: Path) -> Any:
        opened.append(file.name)
        return really(file)

    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", counted)
        assert read_samples(tmp_path, (1, 8, 8))[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert opened == ["0.png", "1.png", "2.png"]


def test_a_folder_that_is_named_like_a_picture_is_none(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    assert read_samples(tmp_path, (1, 8, 8)).shape == (1, 1, 8, 8)


def test_a_batch_of_large_pictures_is_small() -> None:
    assert [batch_size(shape) for shape in ((1, 8, 8), (3, 256, 256), (3, 5000, 5000))] == [BATCH, 42, 1]
    many = (np.zeros((1, 2, 2), np.uint8) for _ in range(BATCH + 3))
    assert [len(batch) for batch in batches(many)] == [BATCH, 3]


def test_pictures_of_several_sizes_are_no_one_array(tmp_path: Path) -> None:
    for index, size in enumerate(SIZES[:2]):
        Image.new("L", size).save(tmp_path / f"{index}.png")
    with pytest.raises(DataError) as refused:
        read_samples(tmp_path, (1, None, None))
    said = "has pictures of several sizes, which are no one array; read them with read_batches"
    assert str(refused.value) == f"{tmp_path}: {said}"


def test_without_resize_a_picture_of_another_size_is_refused_as_in_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(pipeline_job(npz(tmp_path / "data.npz"), model="linear", epochs=1), tmp_path / "out")
    evaluate.run(run)
    export.run(run)
    (tmp_path / "pictures").mkdir()
    Image.new("L", (8, 8), 200).save(tmp_path / "pictures" / "0.png")
    Image.new("L", (9, 8), 200).save(tmp_path / "pictures" / "1.png")
    capsys.readouterr()
    code, printed = main([str(run.output), str(tmp_path / "pictures")]), capsys.readouterr()
    said = "is 9 x 8 pixels, the model was trained on 8 x 8; scale it, or train with resize first in "
    problem = f"error: {tmp_path}/pictures/1.png: {said}spec.pipeline.data.transforms\n"
    assert (code, printed.out, printed.err) == (2, "", problem)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        pytest.param((8, 8), "(8, 8)", id="series"),
        pytest.param((4,), "(4,)", id="rows"),
        pytest.param((2, None, None), "(2, any, any)", id="two channels"),
    ],
)
def test_pictures_are_no_samples_of_another_kind(tmp_path: Path, shape: tuple[int | None, ...], shown: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError) as refused:
        read_samples(tmp_path / "a.png", shape)
    said = f"holds pictures, and samples must have shape {shown}; the model was trained so"
    assert str(refused.value) == f"{tmp_path}/a.png: {said}"


def test_a_folder_without_pictures_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        read_samples(tmp_path, (1, 8, 8))
    assert str(refused.value) == f"{tmp_path}: has no PNG or JPEG files"
