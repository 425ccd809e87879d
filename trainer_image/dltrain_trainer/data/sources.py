"""The registry of data sources: a name, or a format of files, to a function that reads it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.pipeline import Data
from dltrain_trainer.data.dataset import Dataset, Split, make_dataset, make_split
from dltrain_trainer.data.fashion_mnist import locate_fashion_mnist
from dltrain_trainer.data.idx import read_idx
from dltrain_trainer.errors import DataError

NPZ_KEYS: Final = ("x_train", "y_train", "x_test", "y_test")
DAMAGE: Final = (ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What zipfile and numpy raise for damaged files."""


def load_dataset(data: Data) -> Dataset:
    """Read the data that a job names, limited as it says.

    Raises:
        DataError: the data is missing, damaged, or not what the job says.
    """
    if data.source.startswith("file://"):
        assert data.format is not None, "the contract asks for a format"
        dataset = FORMATS[data.format](Path(data.source.removeprefix("file://")))
    else:
        dataset = NAMED[data.source]()
    return replace(dataset, train=dataset.train.first(data.limit.train), test=dataset.test.first(data.limit.test))


def read_idx_folder(folder: Path) -> Dataset:
    """Read a folder with the four files of MNIST, each with or without .gz.

    Raises:
        DataError: a file is missing or damaged.
    """
    return make_dataset(read_idx_split(folder, "train"), read_idx_split(folder, "t10k"), str(folder))


def read_idx_split(folder: Path, prefix: str) -> Split:
    """Read the images and labels of one split.

    Raises:
        DataError: a file is missing or damaged.
    """
    images = read_idx(find(folder, f"{prefix}-images-idx3-ubyte"), 3)
    labels = read_idx(find(folder, f"{prefix}-labels-idx1-ubyte"), 1)
    return make_split(images, labels, f"{folder} ({prefix})")


def find(folder: Path, name: str) -> Path:
    """A file of that name, or of that name with .gz.

    Raises:
        DataError: there is neither.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise DataError(f"{folder}: has no {name} or {name}.gz; mount the data, or correct spec.pipeline.data.source")


def read_npz(path: Path) -> Dataset:
    """Read an .npz file with x_train, y_train, x_test and y_test.

    Raises:
        DataError: the file is missing or damaged, or lacks an array.
    """
    x_train, y_train, x_test, y_test = read_arrays(path)
    train, test = make_split(x_train, y_train, f"{path} (train)"), make_split(x_test, y_test, f"{path} (test)")
    return make_dataset(train, test, str(path))


def read_arrays(path: Path) -> list[NDArray[Any]]:
    """The four arrays of an .npz file, in the order of NPZ_KEYS.

    Raises:
        DataError: the file is missing or damaged, or lacks an array.
    """
    try:
        with zipfile.ZipFile(path):  # np.load would also read other formats
            pass
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in NPZ_KEYS if key not in file]
            if missing:
                raise DataError(f"{path}: lacks {', '.join(missing)}; it has {', '.join(file.files) or 'nothing'}")
            return [file[key] for key in NPZ_KEYS]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except DAMAGE as error:
        raise DataError(f"{path}: is not a sound .npz file: {error}") from error


FORMATS: Final[dict[str, Callable[[Path], Dataset]]] = {"idx": read_idx_folder, "npz": read_npz}
NAMED: Final[dict[str, Callable[[], Dataset]]] = {"fashion-mnist": lambda: read_idx_folder(locate_fashion_mnist())}
