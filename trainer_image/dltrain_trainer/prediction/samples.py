"""Raw samples from a file or folder of any kind that a model can be asked about."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.readers.image_folder import SUFFIXES
from dltrain_trainer.data.readers.rows import NAMELESS, RowFormat
from dltrain_trainer.errors import DataError
from dltrain_trainer.prediction.arrays import read_array, read_table
from dltrain_trainer.prediction.form import BYTES, FLOATS, InputFormat, Shape
from dltrain_trainer.prediction.pictures import read_pictures

Reader = Callable[[Path, InputFormat], Iterable[NDArray[Any]]]
"""Raises DataError where samples do not fit the model; what libraries raise for damaged files is told by the caller."""
READERS: Final[Mapping[str, Reader]] = {
    ".npy": read_array,
    ".npz": read_array,
    ".csv": read_table,
    **dict.fromkeys(SUFFIXES, read_pictures),
}
"""By the suffix of a file."""


def read_samples(path: Path, shape: Shape, rows: RowFormat = NAMELESS) -> NDArray[Any]:
    """Raw samples from a file, all at once; see `read_batches`.

    Args:
        path: of the file.
        shape: of one sample: three axes are those of images.
        rows: how samples are written in a CSV file.

    Returns:
        uint8 or float32, shape (n, *shape).

    Raises:
        DataError: it cannot be read, its samples do not fit, or are pictures of several sizes.
    """
    batches = list(read_batches(path, InputFormat(BYTES if len(shape) == 3 else FLOATS, shape, rows)))
    if len({batch.shape[1:] for batch in batches}) > 1:
        raise DataError(f"{path}: has pictures of several sizes, which are no one array; read them with read_batches")
    return np.concatenate(batches)


def read_batches(path: Path, form: InputFormat) -> Iterator[NDArray[Any]]:
    """Raw samples from a file or folder, some at a time.

    Args:
        path: .npy, or .npz with an array x or x_test: one sample or many, pictures with their channels first or last;
            .csv with a column a feature, and a header where they are not in the model's order; a picture, or a folder
            of pictures, which are taken in the order of their names.
        form: what the model takes.

    Yields:
        uint8 or float32, shape (n, ...): samples of one size.

    Raises:
        DataError: it cannot be read, or its samples have another type or shape, other columns or unknown words.
    """
    try:
        yield from reader_of(path)(path, form)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except Exception as error:  # numpy, zipfile and Pillow raise a dozen kinds for damaged files
        raise DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}") from error


def reader_of(path: Path) -> Reader:
    """What reads a file or folder.

    Raises:
        DataError: it is of no kind that is known here.
        OSError: there is no such file or folder.
    """
    if stat.S_ISDIR(path.stat().st_mode):
        return read_pictures
    if (reader := READERS.get(path.suffix.lower())) is None:
        found = path.suffix or "no suffix"
        raise DataError(f"{path}: must be .npy, .npz, .csv, a picture or a folder of pictures (got {found})")
    return reader
