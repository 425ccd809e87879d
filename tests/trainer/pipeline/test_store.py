"""The store of prepared data: what it says where there is no room, and that errors of the source are told as such."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.data.store import kept, room
from dltrain_trainer.errors import DataAwayError, DataError
from tests.trainer.pipeline.builders import image_set, settings
from tests.trainer.pipeline.pictures import picture_folder

NOBODY = 65534
SMALL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
"""Runs a script that may mount what only it sees."""
LOAD = """
import sys
from dltrain.api.data import Data
from dltrain_trainer.data.load import load_data
from dltrain_trainer.errors import DataAwayError
try:
    load_data(Data.model_validate({"source": f"file://{sys.argv[1]}", "format": "image-folder"}))
except DataAwayError as error:
    print(error)
"""


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything; a job does not run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that anybody may write, with the cache; those of pytest are its user's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        monkeypatch.setenv("DLTRAIN_CACHE", str(folder / "cache"))
        yield folder


def test_the_file_of_a_split_has_all_its_space_before_it_is_filled(tmp_path: Path) -> None:
    images = room(tmp_path, "train", (7, 3, 100, 100))
    file = tmp_path / "train.inputs.npy"
    assert file.stat().st_blocks * 512 >= file.stat().st_size > images.nbytes
    images[:] = np.arange(210_000, dtype=np.uint8).reshape(images.shape)
    np.testing.assert_array_equal(np.load(file), images)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_cannot_set_space_aside_is_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*arguments: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    room(tmp_path, "train", (2, 1, 3, 4))[1, 0, 2] = 5
    assert np.load(tmp_path / "train.inputs.npy").tolist() == [
        [[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]],
        [[[0, 0, 0, 0], [0, 0, 0, 0], [5, 5, 5, 5]]],
    ]


def test_a_cache_that_is_too_small_for_the_images_is_said_to_be_full(tmp_path: Path) -> None:
    if subprocess.run([*SMALL_DISK, "mount -t tmpfs none /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("needs mount namespaces for users, for a small disk of its own")
    root, cache = picture_folder(tmp_path / "set", sizes=((300, 300),)), tmp_path / "cache"
    cache.mkdir()
    run = 'mount -t tmpfs -o size=1m none "$DLTRAIN_CACHE" && "$@" && ls "$DLTRAIN_CACHE"/datasets/prepared/*/'
    done = subprocess.run(
        [*SMALL_DISK, run, "sh", sys.executable, "-c", LOAD, str(root)],
        env={**os.environ, "DLTRAIN_CACHE": str(cache)},
        check=False,
        capture_output=True,
        text=True,
    )
    [line] = done.stdout.splitlines()
    words = (
        f"cannot write {cache}/datasets/prepared/",
        (": No space left on device; make room, or set DLTRAIN_CACHE to a folder on a larger volume"),
    )
    assert (done.returncode, line.startswith(words[0]), line.endswith(words[1])) == (0, True, True), done.stderr


def closed(path: Path) -> str:
    """Nobody but root may read a file or folder any more; its name."""
    path.chmod(0)
    return str(path)


def images(folder: Path) -> str:
    return closed(picture_folder(folder / "set") / "train" / "cat")


def image(folder: Path) -> str:
    return closed(picture_folder(folder / "set") / "test" / "dog" / "4.png")


def tables(folder: Path) -> str:
    (folder / "set" / "train").mkdir(parents=True)
    (folder / "set" / "train" / "a.csv").write_text("x,y\n1,0\n")
    return closed(folder / "set" / "train")


def table(folder: Path) -> str:
    (folder / "set").mkdir()
    for name in ("train", "test"):
        (folder / "set" / f"{name}.csv").write_text("x,y\n1,0\n")
    return closed(folder / "set" / "test.csv")


def idx(folder: Path) -> str:
    (folder / "set").mkdir()
    return closed(folder / "set") + "/train-images-idx3-ubyte"


def npz(folder: Path) -> str:
    np.savez(folder / "set.npz", x=np.zeros((4, 3, 3), np.uint8), y=np.zeros(4))
    (folder / "set.npz").rename(folder / "set")
    return closed(folder / "set")


RESIZE = {"resize": {"height": 2, "width": 2}}
"""Goes by way of the store."""


@pytest.mark.parametrize(
    ("make", "form", "transforms", "others"),
    [
        pytest.param(images, "image-folder", [], {}, id="a folder of images"),
        pytest.param(image, "image-folder", [], {}, id="an image"),
        pytest.param(tables, "csv", [], {"target": ["y"]}, id="a folder of tables"),
        pytest.param(table, "csv", [], {"target": ["y"]}, id="a table"),
        pytest.param(idx, "idx", [RESIZE], {}, id="a folder of idx files"),
        pytest.param(npz, "npz", [RESIZE], {}, id="an npz file"),
    ],
)
def test_data_that_cannot_be_read_is_named_as_such(
    place: Path, make: Callable[[Path], str], form: str, transforms: list[dict[str, Any]], others: dict[str, Any]
) -> None:
    data = settings(*transforms, source=f"file://{place}/set", format=form, **others)
    name = make(place)
    with as_nobody(), pytest.raises(DataError) as refused:
        load_data(data, tell=lambda line: None)
    assert str(refused.value).startswith(f"{name}: cannot be read (Permission denied); ")
    assert type(refused.value) is DataError  # which no other attempt would mend


def test_an_error_of_the_store_is_still_told_as_one(place: Path) -> None:
    def build(folder: Path) -> Dataset:
        folder.rmdir()
        return image_set()

    with pytest.raises(DataAwayError, match=r"^cannot write .*/prepared/[0-9a-f]{24}: No such file or directory; make"):
        kept(["facts"], build)
