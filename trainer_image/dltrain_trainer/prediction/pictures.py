"""Raw samples from pictures: each decoded as the training does, at its own size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.cache import say
from dltrain_trainer.data.readers.decoding import Decoder
from dltrain_trainer.data.readers.image_folder import SUFFIXES
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.errors import DataError
from dltrain_trainer.prediction.form import BYTES, InputFormat, batch_size


def read_pictures(path: Path, form: InputFormat) -> Iterator[NDArray[np.uint8]]:
    """Pictures as the training reads them, each at its own size; neighbours of one size together.

    Raises:
        DataError: the model takes none, or one of another size, cannot be read or has more than a byte a channel, which
            training refuses too.
    """
    files = pictures_in(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: has no PNG or JPEG files")
    if form.dtype != BYTES or form.shape[0] not in (1, 3):
        raise DataError(f"{path}: holds pictures, and samples must have shape {form}; the model was trained so")
    decoder = Decoder(1 if form.shape[0] == 1 else 3, Chain(()), path, say)
    return batches(picture(file, decoder, form) for file in files)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that the training would find in a folder, in the order of their names."""
    found = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    return sorted(file for file in found if file.is_file())


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
