"""Reads .npz files and the IDX files of MNIST."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import Task
from dltrain_trainer.data.idx import read_idx
from dltrain_trainer.data.readers.access import source_errors
from dltrain_trainer.data.readers.parts import SPLITS, Arrays, Parts
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.errors import DataError

IDX_PREFIXES: Final = {"train": "train", "test": "t10k"}
NO_SUMS: Final[Mapping[str, str]] = MappingProxyType({})


def read_idx_folder(folder: Path, published: Mapping[str, str] = NO_SUMS) -> Parts:
    """Read a folder with the four files of MNIST, each with or without .gz.

    Args:
        folder: where they are.
        published: the SHA-256 that files must have, by name without .gz, of their decompressed content.

    Raises:
        DataError: a file is missing or damaged.
    """
    splits = {}
    for split, prefix in IDX_PREFIXES.items():
        images, labels = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
        splits[split] = Arrays(
            read_idx(find(folder, images), 3, published.get(images)),
            read_idx(find(folder, labels), 1, published.get(labels)),
        )
    return Parts(splits, "classification")


def find(folder: Path, name: str) -> Path:
    """A file of that name, or of that name with .gz.

    Raises:
        DataError: there is neither, or the folder cannot be read.
    """
    with source_errors(folder):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                return path
    raise DataError(f"{folder}: has no {name} or {name}.gz; mount the data, or correct spec.pipeline.data.source")


def read_npz(path: Path, task: Task) -> Parts:
    """Read an .npz file: x_train and y_train, with validation and test likewise where they exist, or x and y.

    Raises:
        DataError: the file is missing or damaged, or lacks an array.
    """
    arrays = read_arrays(path)
    if "x" in arrays or "y" in arrays:
        arrays = {{"x": "x_train", "y": "y_train"}.get(name, name): array for name, array in arrays.items()}
    splits = {split: pair(path, arrays, split) for split in SPLITS if {f"x_{split}", f"y_{split}"} & arrays.keys()}
    if "train" not in splits:
        raise lacking(path, ["x_train", "y_train"], list(arrays))
    return Parts(splits, task, named_columns(splits["train"].inputs))


def pair(path: Path, arrays: Mapping[str, NDArray[Any]], split: str) -> Arrays:
    """The inputs and targets of a split.

    Raises:
        DataError: one of them is missing.
    """
    wanted = [f"x_{split}", f"y_{split}"]
    if missing := [name for name in wanted if name not in arrays]:
        raise lacking(path, missing, list(arrays))
    return Arrays(*(arrays[name] for name in wanted))


def lacking(path: Path, missing: Sequence[str], found: Sequence[str]) -> DataError:
    """The error that arrays are missing."""
    has = ", ".join(found) or "nothing"
    return DataError(f"{path}: lacks {', '.join(missing)}; it has {has}; save the arrays under those names")


def named_columns(inputs: NDArray[Any]) -> tuple[Feature, ...]:
    """Names for the columns of an array that is no image: 0, 1, 2 ..."""
    if inputs.dtype == np.uint8 or inputs.ndim < 2:
        return ()
    return tuple(Feature(str(index)) for index in range(inputs.shape[-1]))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file; nothing in it is unpickled.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # np.load would also read other formats
            damaged = archive.testzip()  # np.load checks only what it reads, and believes an array's header
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")  # noqa: TRY301 - told as all others
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except Exception as error:  # numpy and zipfile raise a dozen kinds for damaged files
        what = str(error) or type(error).__name__
        raise DataError(f"{path}: is no sound .npz file ({what}); write it again with numpy.savez") from error
