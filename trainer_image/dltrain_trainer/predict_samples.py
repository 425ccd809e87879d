"""Raw samples from files, as an exported model takes them: of its type and shape, pictures at their own size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.cache import say
from dltrain_trainer.data.readers.decoding import Decoder, mode_of
from dltrain_trainer.data.readers.image_folder import SUFFIXES
from dltrain_trainer.data.readers.rows import NAMELESS, RowFormat, read_rows
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.errors import DataError
from dltrain_trainer.export.exportable import takes_any_size

BATCH: Final = 256
BATCH_VALUES: Final = 1 << 23
"""A batch has no more values than these, unless it is one sample: pictures may be large before they are scaled."""
BYTES: Final = "uint8"
FLOATS: Final = "float32"
TAKEN: Final = {
    BYTES: ("iuf", "whole numbers of 0..255, for the model was trained on bytes"),
    FLOATS: ("biuf", "finite numbers that float32 can hold, or NaN where a value is missing"),
}
"""By a model's type, numpy's kinds of types that can be cast to it, and what they must hold."""
Shape = tuple[int | None, ...]
"""Of one sample; None for an axis of any length."""


@dataclass(frozen=True, slots=True)
class InputFormat:
    """What an exported model takes."""

    dtype: str
    """uint8, which are images, or float32."""
    shape: Shape
    """Of one raw sample."""
    rows: RowFormat = NAMELESS
    """How raw samples are written in a CSV file."""

    @staticmethod
    def from_dict(stored: Mapping[str, Any], preprocessing: Preprocessing) -> InputFormat:
        """What model.json says in `input`.

        Raises:
            KeyError: something is missing.
            TypeError: something is no list or object.
            ValueError: the type is unknown.
        """
        shape: Shape = tuple(stored["shape"])
        if stored["type"] not in (BYTES, FLOATS):
            raise ValueError(f"input.type must be {BYTES} or {FLOATS} (got {stored['type']})")
        if takes_any_size(preprocessing):
            shape = (shape[0], None, None)  # earlier versions have written the size after scaling
        return InputFormat(stored["type"], shape, RowFormat.from_dict(stored))

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample may have a shape."""
        return len(shape) == len(self.shape) and all(
            found == wanted if wanted is not None else found > 0
            for found, wanted in zip(shape, self.shape, strict=True)
        )

    def __str__(self) -> str:
        """The shape, as errors show it."""
        lengths = ", ".join("any" if length is None else str(length) for length in self.shape)
        return f"({lengths},)" if len(self.shape) == 1 else f"({lengths})"


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
        path: .npy, or .npz with an array x or x_test: one sample or many; .csv with a column a feature, and a header
            where they are not in the model's order; a picture, or a folder of pictures, which are taken in the order of
            their names.
        form: what the model takes.

    Yields:
        uint8 or float32, shape (n, ...): samples of one size.

    Raises:
        DataError: it cannot be read, or its samples have another type or shape, other columns or unknown words.
    """
    kind = PICTURES if path.is_dir() else KINDS.get(path.suffix.lower())
    if kind is None:
        found = path.suffix or "no suffix"
        raise DataError(f"{path}: must be .npy, .npz, .csv, a picture or a folder of pictures (got {found})")
    try:
        yield from READERS[kind](path, form)
    except DataError:
        raise
    except Exception as error:  # numpy, zipfile and Pillow raise a dozen kinds for damaged files
        raise DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}") from error


# ---------------------------------------------------------------- arrays and tables
def read_array(path: Path, form: InputFormat) -> Iterable[NDArray[Any]]:
    """An array; pictures in grey may lack the axis of channels.

    Raises:
        DataError: it does not fit the model.
    """
    found = np.load(path, allow_pickle=False)
    array = found if isinstance(found, np.ndarray) else found["x" if "x" in found else "x_test"]
    if len(form.shape) == 3 and array.ndim in (2, 3) and form.fits((1, *array.shape[-2:])):
        array = array.reshape(-1, 1, *array.shape[-2:])
    return [cast(shaped(array, form, path), form, path)]


def read_table(path: Path, form: InputFormat) -> Iterable[NDArray[Any]]:
    """The rows of a table; those of a series are one sample.

    Raises:
        DataError: it does not fit the model.
    """
    width = form.shape[-1]
    if form.dtype != FLOATS or width is None:
        raise DataError(f"{path}: holds rows, and samples must have shape {form}; the model was trained so")
    return [shaped(read_rows(path, form.rows, width), form, path)]


def shaped(samples: NDArray[Any], form: InputFormat, path: Path) -> NDArray[Any]:
    """Samples, or one of them, as a batch.

    Raises:
        DataError: they have another shape than the model takes.
    """
    if form.fits(samples.shape):
        samples = samples[None]
    if not form.fits(samples.shape[1:]):
        raise DataError(f"{path}: samples must have shape {form} (got {samples.shape[1:]}); the model was trained so")
    return np.ascontiguousarray(samples)


def cast(samples: NDArray[Any], form: InputFormat, path: Path) -> NDArray[Any]:
    """Samples in the type that the model takes, with the same values.

    Raises:
        DataError: it has no such values.
    """
    kinds, said = TAKEN[form.dtype]
    if samples.dtype.kind not in kinds:
        raise DataError(f"{path}: must hold {said} (got the type {samples.dtype})")
    with np.errstate(invalid="ignore", over="ignore"):  # what comes of it is looked at
        result = samples.astype(form.dtype, copy=False)
    wrong = result != samples if form.dtype == BYTES else np.isinf(result)
    if wrong.any():
        raise DataError(f"{path}: must hold {said} (got {samples[wrong][0]})")
    return result


# ---------------------------------------------------------------- pictures
def read_pictures(path: Path, form: InputFormat) -> Iterator[NDArray[np.uint8]]:
    """Pictures as the training reads them, each at its own size; neighbours of one size together.

    Raises:
        DataError: the model takes none, or one of another size, cannot be read or has more than a byte a channel, which
            training refuses too.
    """
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in found if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    if not files:
        raise DataError(f"{path}: has no PNG or JPEG files")
    if form.dtype != BYTES or form.shape[0] not in (1, 3):
        raise DataError(f"{path}: holds pictures, and samples must have shape {form}; the model was trained so")
    for file in files:
        mode_of(file)  # before the first is worked on; convert() would make white of all that is more than a byte
    decoder = Decoder(1 if form.shape[0] == 1 else 3, Chain(()), path, say)
    return batches(picture(file, decoder, form) for file in files)


def picture(file: Path, decoder: Decoder, form: InputFormat) -> NDArray[np.uint8]:
    """A picture in the mode of the model's samples, shape (C, H, W).

    Raises:
        DataError: it cannot be read, or has a size that training would refuse, too.
    """
    pixels = decoder.image(file)
    if not form.fits(pixels.shape):
        (height, width), (tall, wide) = pixels.shape[1:], form.shape[1:]
        raise DataError(
            f"{file}: is {width} x {height} pixels, the model was trained on {wide} x {tall}; scale it, or train with "
            "resize first in spec.pipeline.data.transforms"
        )
    return pixels


def batches(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Neighbours of one size together, in order; shape (n, C, H, W)."""
    group: list[NDArray[np.uint8]] = []
    for each in pictures:
        if group and (each.shape != group[0].shape or len(group) == batch_size(each.shape)):
            yield np.stack(group)
            group = []
        group.append(each)
    if group:
        yield np.stack(group)


def batch_size(shape: tuple[int, ...]) -> int:
    """How many samples of a shape a model gets at a time."""
    return max(1, min(BATCH, BATCH_VALUES // max(1, prod(shape))))


ARRAY: Final = "array"
TABLE: Final = "table"
PICTURES: Final = "pictures"
KINDS: Final = {".npy": ARRAY, ".npz": ARRAY, ".csv": TABLE, **dict.fromkeys(SUFFIXES, PICTURES)}
READERS: Final[Mapping[str, Callable[[Path, InputFormat], Iterable[NDArray[Any]]]]] = {
    ARRAY: read_array,
    TABLE: read_table,
    PICTURES: read_pictures,
}
