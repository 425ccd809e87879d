"""Damaged and hostile .npz files, and that every source of the contract has a reader."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dltrain.api.data import NAMED_SOURCES, Data
from dltrain_trainer.data.load import FORMATS, NAMED, load_data
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.errors import DataError
from tests.trainer.builders import arrays


def test_every_source_of_the_contract_has_a_reader() -> None:
    formats = set(get_args(get_args(Data.model_fields["format"].annotation)[0]))
    assert (set(NAMED), {*FORMATS, "image-folder"}) == (set(NAMED_SOURCES), formats)


def load(path: Path, form: str, **limit: int) -> Dataset:
    return load_data(Data.model_validate({"source": f"file://{path}", "format": form, "limit": limit})).dataset


def problem(path: Path, form: str) -> str:
    """What is said of a source that cannot be used."""
    with pytest.raises(DataError) as caught:
        load(path, form)
    return str(caught.value)


def sound(**changes: NDArray[Any]) -> dict[str, Any]:
    """The arrays of a sound data set, but for some."""
    (x_train, y_train), (x_test, y_test) = arrays(7), arrays(5, seed=1)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, **changes}


def npz(folder: Path, **changes: NDArray[Any]) -> Path:
    np.savez(folder / "data.npz", **sound(**changes))
    return folder / "data.npz"


def same(one: Dataset, other: Dataset) -> bool:
    return all(
        torch.equal(getattr(mine, part), getattr(theirs, part))
        for mine, theirs in ((one.train, other.train), (one.test, other.test))
        for part in ("inputs", "targets")
    )


def test_an_npz_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    assert (
        problem(file, "npz")
        == f"{file}: cannot be read (No such file or directory); mount the data, or correct spec.pipeline.data.source"
    )


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
