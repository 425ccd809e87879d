"""Raw samples from arrays and tables, in the type and of the shape that a model takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.readers.rows import read_rows
from dltrain_trainer.errors import DataError
from dltrain_trainer.prediction.form import BYTES, FLOATS, InputFormat

NAMES: Final = ("x", "x_test")
"""Of the array of an .npz file that is predicted; the first that it has."""
TAKEN: Final = {
    BYTES: ("iuf", "whole numbers of 0..255, for the model was trained on bytes"),
    FLOATS: ("biuf", "finite numbers that float32 can hold, or NaN where a value is missing"),
}
"""By a model's type, numpy's kinds of types that can be cast to it, and what they must hold."""


def read_array(path: Path, form: InputFormat) -> Iterable[NDArray[Any]]:
    """An array; the channels of pictures may be last, and those in grey may lack that axis.

    Raises:
        DataError: it does not fit the model, or an .npz file has none of its name.
    """
    found = np.load(path, allow_pickle=False)
    is_plain = isinstance(found, np.ndarray)
    if is_plain:
        array = found
    else:
        with found:
            array = chosen(found, path)
    if len(form.shape) == 3:
        array = channels_first(array, form, rather_last=not is_plain)
    return [cast(shaped(array, form, path), form, path)]


def chosen(archive: Any, path: Path) -> NDArray[Any]:
    """The array of an .npz file that is predicted.

    Raises:
        DataError: there is none.
    """
    for name in NAMES:
        if name in archive:
            return np.asarray(archive[name])
    has = ", ".join(archive) or "nothing"
    raise DataError(f"{path}: lacks {' or '.join(NAMES)}; it has {has}; save the samples under such a name")


def channels_first(pictures: NDArray[Any], form: InputFormat, *, rather_last: bool) -> NDArray[Any]:
    """Pictures, or one of them, with the channels where a model takes them; as they are where nothing fits.

    Args:
        pictures: shape (..., C, H, W), (..., H, W, C), or, in grey, (..., H, W).
        form: what the model takes.
        rather_last: whether the channels are last where that fits as well, as in the .npz files of training data.
    """
    if pictures.ndim in (2, 3) and form.fits((1, *pictures.shape[-2:])):
        return pictures.reshape(-1, 1, *pictures.shape[-2:])
    if pictures.ndim not in (3, 4):
        return pictures
    moved = np.moveaxis(pictures, -1, -3)
    either = (moved, pictures) if rather_last else (pictures, moved)
    return next((each for each in either if form.fits(each.shape[-3:])), pictures)


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
