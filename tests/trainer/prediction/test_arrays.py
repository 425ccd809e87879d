"""`dltrain predict` on arrays: their types, and where the channels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltrain_trainer.data.samples import make_split
from dltrain_trainer.errors import DataError
from dltrain_trainer.predict import main, predictor, read_samples
from dltrain_trainer.run import Run
from dltrain_trainer.stages import evaluate, export
from tests.trainer.builders import arrays, pipeline_job, trained

IMAGES, _ = arrays(5, seed=2)
WHOLE = "must hold whole numbers of 0..255, for the model was trained on bytes"
FINITE = "must hold finite numbers that float32 can hold, or NaN where a value is missing"


@pytest.fixture(params=["", "model.onnx"])
def exported(request: pytest.FixtureRequest, run: Run) -> Path:
    """The job's model in each of its two kinds."""
    return Path(run.output / request.param)


@pytest.mark.parametrize("dtype", ["int64", "uint16", "float32", "float64", ">i2"])
def test_whole_numbers_of_any_type_are_bytes_to_a_model_of_bytes(exported: Path, tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "bytes.npy", IMAGES)
    np.save(tmp_path / "others.npy", IMAGES.astype(dtype))
    model = predictor(exported)
    assert model.said_of(tmp_path / "others.npy") == model.said_of(tmp_path / "bytes.npy")


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        pytest.param(np.full((1, 8, 8), 0.5), f"{WHOLE} (got 0.5)", id="shares of 1"),
        pytest.param(np.full((1, 8, 8), 256), f"{WHOLE} (got 256)", id="too large"),
        pytest.param(np.full((1, 8, 8), -1, np.int8), f"{WHOLE} (got -1)", id="negative"),
        pytest.param(np.full((1, 8, 8), np.nan, np.float32), f"{WHOLE} (got nan)", id="missing"),
        pytest.param(np.full((1, 8, 8), True), f"{WHOLE} (got the type bool)", id="truth values"),
        pytest.param(np.full((1, 8, 8), 1 + 0j), f"{WHOLE} (got the type complex128)", id="complex"),
        pytest.param(np.full((1, 8, 8), "7"), f"{WHOLE} (got the type <U1)", id="text"),
    ],
)
def test_what_is_no_byte_is_refused_by_a_model_of_bytes(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], array: Any, problem: str
) -> None:
    np.save(tmp_path / "a.npy", array)
    capsys.readouterr()
    code, printed = main([str(exported), str(tmp_path / "a.npy")]), capsys.readouterr()
    assert (code, printed.out, printed.err) == (2, "", f"error: {tmp_path}/a.npy: {problem}\n")


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float64", "bool"])
def test_rows_of_numbers_of_any_type_are_floats(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, 1], [1, 1]], dtype))
    found = read_samples(tmp_path / "a.npy", (2,))
    assert (found.dtype, found.tolist()) == (np.dtype("float32"), [[0, 1], [1, 1]])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        pytest.param([1.0, np.inf], f"{FINITE} (got inf)", id="infinite"),
        pytest.param([1e300, 1.0], f"{FINITE} (got 1e+300)", id="too large"),
        pytest.param(["a", "b"], f"{FINITE} (got the type <U1)", id="text"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, values: list[Any], problem: str) -> None:
    np.save(tmp_path / "a.npy", np.array([values]))
    with pytest.raises(DataError) as refused:
        read_samples(tmp_path / "a.npy", (2,))
    assert str(refused.value) == f"{tmp_path}/a.npy: {problem}"


# ---------------------------------------------------------------- where the channels are
COLOURED = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
"""As the npz files of training data have pictures: (N, H, W, C)."""
PLANES = np.moveaxis(COLOURED, 3, 1)


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize("size", [(6, 5), (None, None)])
@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        pytest.param(COLOURED, PLANES, id="last"),
        pytest.param(PLANES, PLANES, id="first"),
        pytest.param(COLOURED[0], PLANES[:1], id="last, one picture"),
        pytest.param(PLANES[0], PLANES[:1], id="first, one picture"),
    ],
)
def test_the_channels_of_pictures_are_first_or_last(
    tmp_path: Path, array: Any, wanted: Any, size: tuple[int | None, ...], kind: str
) -> None:
    file = tmp_path / f"pictures.{kind}"
    save_as(file, array)
    found = read_samples(file, (3, *size))
    assert found.flags.c_contiguous
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 1, 8, 8), (5, 8, 8, 1)])
def test_grey_pictures_may_have_an_axis_of_one_channel_on_either_side(
    tmp_path: Path, shape: tuple[int, ...], kind: str
) -> None:
    file = tmp_path / f"pictures.{kind}"
    save_as(file, IMAGES.reshape(shape))
    assert np.array_equal(read_samples(file, (1, None, None)), IMAGES[:, None])


def test_what_may_be_meant_in_two_ways_is_read_from_npz_files_as_in_training_and_else_with_channels_first(
    tmp_path: Path,
) -> None:
    cubes = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    save_as(tmp_path / "a.npz", cubes)
    save_as(tmp_path / "a.npy", cubes)
    trained_with = make_split(cubes, np.zeros(2, np.int64), "classification", "a.npz").inputs.numpy()
    assert np.array_equal(read_samples(tmp_path / "a.npz", (3, 3, 3)), trained_with)
    assert np.array_equal(read_samples(tmp_path / "a.npy", (3, 3, 3)), cubes)


def test_a_model_is_asked_about_the_file_that_it_was_trained_on(tmp_path: Path) -> None:
    x, y = np.tile(COLOURED, (5, 1, 1, 1)), np.arange(20) % 2
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    run = trained(pipeline_job(tmp_path / "data.npz", model="linear", epochs=1), tmp_path / "out")
    evaluate.run(run)
    export.run(run)
    wanted = run.artifact.predict(run.data.dataset.test.inputs).argmax(1).tolist()
    assert [each["class"] for each in predictor(run.output).said_of(tmp_path / "data.npz")] == wanted


def test_an_npz_file_without_samples_says_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=np.zeros(5))
    with pytest.raises(DataError) as refused:
        read_samples(tmp_path / "a.npz", (1, 8, 8))
    said = "lacks x or x_test; it has x_train, y_train; save the samples under such a name"
    assert str(refused.value) == f"{tmp_path}/a.npz: {said}"


def save_as(file: Path, array: Any) -> None:
    """Write an array alone, or as x of an .npz file."""
    if file.suffix == ".npz":
        np.savez(file, x=array)
    else:
        np.save(file, array)
