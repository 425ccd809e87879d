"""Where data comes from: folders of IDX files, .npz files, and what is wrong with them."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dltrain.api.pipeline import NAMED_SOURCES, Data
from dltrain_trainer.data.dataset import Dataset
from dltrain_trainer.data.sources import FORMATS, NAMED, load_dataset
from dltrain_trainer.errors import DataError
from tests.trainer.builders import arrays


def test_every_source_of_the_contract_has_a_reader() -> None:
    formats = set(get_args(get_args(Data.model_fields["format"].annotation)[0]))
    assert (set(NAMED), set(FORMATS)) == (set(NAMED_SOURCES), formats)


def load(path: Path, form: str, **limit: int) -> Dataset:
    return load_dataset(Data.model_validate({"source": f"file://{path}", "format": form, "limit": limit}))


def problem(path: Path, form: str) -> str:
    """What is said of a source that cannot be used."""
    with pytest.raises(DataError) as caught:
        load(path, form)
    return str(caught.value)


def sound(**changes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a sound data set, but for some."""
    (x_train, y_train), (x_test, y_test) = arrays(7), arrays(5, seed=1)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, **changes}


def npz(folder: Path, **changes: NDArray[Any]) -> Path:
    np.savez(folder / "data.npz", **sound(**changes))
    return folder / "data.npz"


def idx(array: NDArray[Any]) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def idx_folder(folder: Path, suffix: str = "") -> Path:
    pack = gzip.compress if suffix else bytes
    values = sound()
    for prefix, name in (("train", "train"), ("t10k", "test")):
        (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(values[f"x_{name}"])))
        (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(values[f"y_{name}"])))
    return folder


def same(one: Dataset, other: Dataset) -> bool:
    return one.classes == other.classes and all(
        torch.equal(getattr(mine, part), getattr(theirs, part))
        for mine, theirs in ((one.train, other.train), (one.test, other.test))
        for part in ("images", "labels")
    )


# ---------------------------------------------------------------- sound data
def test_an_npz_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    dataset, values = load(npz(tmp_path), "npz"), sound()
    assert np.array_equal(dataset.train.images.numpy()[:, 0], values["x_train"])
    assert np.array_equal(dataset.test.labels.numpy(), values["y_test"])
    assert (dataset.shape, dataset.classes) == ((1, 8, 8), 3)
    assert (dataset.train.images.dtype, dataset.train.labels.dtype) == (torch.uint8, torch.int64)


def test_a_compressed_npz_file_is_read_too(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "packed.npz", **sound())
    assert same(load(tmp_path / "packed.npz", "npz"), load(npz(tmp_path), "npz"))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_idx_files_is_read(tmp_path: Path, suffix: str) -> None:
    assert same(load(idx_folder(tmp_path, suffix), "idx"), load(npz(tmp_path), "npz"))


def test_colours_become_channels(tmp_path: Path) -> None:
    colours = [np.random.default_rng(0).integers(0, 256, (count, 8, 6, 3), dtype=np.uint8) for count in (7, 5)]
    dataset = load(npz(tmp_path, x_train=colours[0], x_test=colours[1]), "npz")
    assert dataset.shape == (3, 8, 6)
    assert np.array_equal(dataset.train.images[4, 2].numpy(), colours[0][4, :, :, 2])


def test_a_limit_takes_the_first_samples_and_keeps_the_classes(tmp_path: Path) -> None:
    whole, part = load(npz(tmp_path), "npz"), load(npz(tmp_path), "npz", train=2, test=1)
    assert torch.equal(part.train.images, whole.train.images[:2])
    assert (len(part.train), len(part.test), part.classes) == (2, 1, 3)


def test_a_limit_beyond_the_data_is_all_of_it(tmp_path: Path) -> None:
    assert same(load(npz(tmp_path), "npz", train=10**6), load(npz(tmp_path), "npz"))


# ---------------------------------------------------------------- data that does not fit
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"x_train": np.zeros((7, 8, 8), np.float32)},
            " (train): images must be uint8 of shape (N, H, W) or (N, H, W, C), not float32 of shape (7, 8, 8); "
            "convert them",
            id="floats",
        ),
        pytest.param(
            {"x_test": np.zeros((5, 64), np.uint8)},
            " (test): images must be uint8 of shape (N, H, W) or (N, H, W, C), not uint8 of shape (5, 64); "
            "convert them",
            id="flat images",
        ),
        pytest.param(
            {"y_train": np.zeros((7, 3), np.int64)},
            " (train): labels must be whole numbers of shape (N,), not int64 of shape (7, 3); convert them",
            id="one-hot labels",
        ),
        pytest.param(
            {"y_train": np.zeros(7)},
            " (train): labels must be whole numbers of shape (N,), not float64 of shape (7,); convert them",
            id="labels that are no whole numbers",
        ),
        pytest.param(
            {"y_train": np.zeros(6, np.int64)},
            " (train): has 7 images and 6 labels; it needs samples, one label each",
            id="a label too few",
        ),
        pytest.param(
            {"x_test": np.zeros((0, 8, 8), np.uint8), "y_test": np.zeros(0, np.int64)},
            " (test): has 0 images and 0 labels; it needs samples, one label each",
            id="no samples",
        ),
        pytest.param(
            {"x_train": np.zeros((7, 8, 0), np.uint8)},
            " (train): images must have pixels, not uint8 of shape (7, 8, 0); store them anew",
            id="no pixels",
        ),
        pytest.param(
            {"y_train": np.array([0, 1, 2, -1, 0, 1, 2])},
            " (train): labels must be from 0 to 65535, found -1; number the classes",
            id="a negative label",
        ),
        pytest.param(
            {"y_train": np.array([0, 1, 2, 0, 0, 1, 123456])},
            " (train): labels must be from 0 to 65535, found 123456; number the classes",
            id="identifiers as labels",
        ),
        pytest.param(
            {"y_train": np.array([2**64 - 1, 0, 0, 0, 0, 0, 0], np.uint64)},
            f" (train): labels must be from 0 to 65535, found {2**64 - 1}; number the classes",
            id="a label that no signed number holds",
        ),
        pytest.param(
            {"x_test": np.zeros((5, 9, 8), np.uint8)},
            ": training images are (1, 8, 8), test images (1, 9, 8); make them alike",
            id="splits of different shapes",
        ),
        pytest.param(
            {"y_test": np.array([0, 1, 2, 3, 0])},
            ": the test split has label 3, the training labels end at 2; give both splits the same classes",
            id="a class that cannot be learnt",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_was_found(
    tmp_path: Path, changes: dict[str, NDArray[Any]], said: str
) -> None:
    file = npz(tmp_path, **changes)
    assert problem(file, "npz") == f"{file}{said}"


def test_missing_arrays_are_named_with_those_that_are_there(tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    np.savez(file, images=np.zeros(3), x_train=np.zeros(3))
    said = "lacks y_train, x_test, y_test; it has images, x_train; save the arrays under those names"
    assert problem(file, "npz") == f"{file}: {said}"


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    (idx_folder(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    said = "has no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz"
    assert problem(tmp_path, "idx") == f"{tmp_path}: {said}; mount the data, or correct spec.pipeline.data.source"


def test_a_damaged_idx_file_is_named(tmp_path: Path) -> None:
    file = idx_folder(tmp_path) / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-9])
    assert problem(tmp_path, "idx") == f"{file}: announces 448 bytes but holds 439; fetch it again"


# ---------------------------------------------------------------- damage
def test_an_npz_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    assert problem(file, "npz") == f"{file}: cannot be read (No such file or directory); check the path"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="no archive"),
        pytest.param(pickle.dumps({"x_train": 1}), id="a pickle"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "data.npz"
    file.write_bytes(data)
    said = "is no sound .npz file (File is not a zip file); write it again with numpy.savez"
    assert problem(file, "npz") == f"{file}: {said}"


def test_a_single_array_is_no_data_set(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert "is no sound .npz file (File is not a zip file)" in problem(tmp_path / "one.npy", "npz")


class Trap:
    """Leaves a mark wherever it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_nothing_in_an_npz_file_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    file = npz(tmp_path, x_train=np.array([Trap(mark)] * 7, dtype=object))
    assert problem(file, "npz").startswith(f"{file}: is no sound .npz file (Object arrays cannot be loaded")
    assert not mark.exists()
    with np.load(file, allow_pickle=True) as archive:  # the trap does work
        archive["x_train"]
    assert mark.exists()


def test_no_flipped_bit_of_an_npz_file_passes_unseen(tmp_path: Path) -> None:
    whole, packed = load(npz(tmp_path), "npz"), npz(tmp_path).read_bytes()
    file = tmp_path / "damaged.npz"
    places = range(0, len(packed), 3)
    said: list[str] = []
    for place in places:
        file.write_bytes(packed[:place] + bytes([packed[place] ^ (1 << place % 8)]) + packed[place + 1 :])
        try:
            assert same(load(file, "npz"), whole)  # the dates and permissions of an archive do not matter
        except DataError as error:
            said.append(str(error))
    assert len(said) > 0.8 * len(places)
    assert all(one.startswith(f"{file}: ") for one in said)


def test_arrays_that_are_smaller_than_they_were_written_are_refused(tmp_path: Path) -> None:
    images = np.zeros((7, 64, 64), np.uint8)
    file = npz(tmp_path, x_train=images, x_test=images[:5])
    file.write_bytes(file.read_bytes().replace(b", 64, 64)", b", 64, 24)"))  # in the headers of x_train and x_test
    said = "is no sound .npz file (the checksum of x_train.npy does not match); write it again with numpy.savez"
    assert problem(file, "npz") == f"{file}: {said}"


def test_no_cut_of_an_npz_file_passes_unseen(tmp_path: Path) -> None:
    packed = npz(tmp_path).read_bytes()
    file = tmp_path / "cut.npz"
    for length in range(0, len(packed), 7):
        file.write_bytes(packed[:length])
        assert problem(file, "npz").startswith(f"{file}: is no sound .npz file")
