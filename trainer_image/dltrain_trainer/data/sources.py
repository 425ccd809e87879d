"""The registry of data sources: a name, or a format of files, to a function that reads it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.pipeline import Data
from dltrain_trainer.data.dataset import Dataset, Split, make_dataset, make_split
from dltrain_trainer.data.fashion_mnist import SHA256, locate_fashion_mnist
from dltrain_trainer.data.idx import read_idx
from dltrain_trainer.errors import DataError

NPZ_KEYS: Final = ("x_train", "y_train", "x_test", "y_test")


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


def read_idx_folder(folder: Path, published: Mapping[str, str] = MappingProxyType({})) -> Dataset:
    """Read a folder with the four files of MNIST, each with or without .gz.

    Args:
        folder: where they are.
        published: the SHA-256 that files must have, by name without .gz, of their decompressed content.

    Raises:
        DataError: a file is missing or damaged.
    """
    train, test = (read_idx_split(folder, prefix, published) for prefix in ("train", "t10k"))
    return make_dataset(train, test, str(folder))


def read_idx_split(folder: Path, prefix: str, published: Mapping[str, str]) -> Split:
    """Read the images and labels of one split.

    Raises:
        DataError: a file is missing or damaged.
    """
    images, labels = (
        read_idx(find(folder, name), dimensions, published.get(name))
        for name, dimensions in ((f"{prefix}-images-idx3-ubyte", 3), (f"{prefix}-labels-idx1-ubyte", 1))
    )
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
    """The four arrays of an .npz file, in the order of NPZ_KEYS; nothing in it is unpickled.

    Raises:
        DataError: the file is missing or damaged, or lacks an array.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # np.load would also read other formats
            damaged = archive.testzip()  # np.load checks only what it reads, and believes an array's header
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")  # noqa: TRY301 - reported as all others
        with np.load(path, allow_pickle=False) as file:
            check_keys(path, file.files)
            return [file[key] for key in NPZ_KEYS]
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except Exception as error:  # numpy and zipfile raise a dozen kinds for damaged files
        what = str(error) or type(error).__name__
        raise DataError(f"{path}: is no sound .npz file ({what}); write it again with numpy.savez") from error


def check_keys(path: Path, found: Sequence[str]) -> None:
    """See that an .npz file has the four arrays.

    Raises:
        DataError: it has not.
    """
    if missing := [key for key in NPZ_KEYS if key not in found]:
        names = ", ".join(found) or "nothing"
        raise DataError(f"{path}: lacks {', '.join(missing)}; it has {names}; save the arrays under those names")


FORMATS: Final[dict[str, Callable[[Path], Dataset]]] = {"idx": read_idx_folder, "npz": read_npz}
NAMED: Final[dict[str, Callable[[], Dataset]]] = {
    "fashion-mnist": lambda: read_idx_folder(locate_fashion_mnist(), SHA256),
}
