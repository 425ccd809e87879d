"""Decodes folders of images into files of the store, on all of the machine's cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dltrain.api.data import Data
from dltrain_trainer.data.cache import Say
from dltrain_trainer.data.division import check_parts, dataset_of
from dltrain_trainer.data.readers.access import unreadable
from dltrain_trainer.data.readers.image_folder import ImageFiles, divided_files, find_images
from dltrain_trainer.data.readers.parts import SPLITS, Parts
from dltrain_trainer.data.samples import Dataset, Split
from dltrain_trainer.data.store import room
from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.preprocessing import prepared
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import DataError

GRAY: Final = ("1", "L")
"""Pillow's modes of one channel of bytes or less."""
DEEP: Final = ("I", "F")
"""What Pillow's modes of more than a byte a channel begin with."""
Given = TypeVar("Given")
Got = TypeVar("Got")


@dataclass(frozen=True, slots=True)
class Decoder:
    """How images become arrays, and where they go."""

    channels: int
    prepare: Chain
    folder: Path
    tell: Say

    def split(self, name: str, files: ImageFiles) -> Split:
        """The images of one split, in a file of the store.

        Raises:
            DataError: an image cannot be read, has more than a byte a channel, or another size than the first.
        """
        self.tell(f"decoding {len(files.paths)} {name} images")
        images = room(self.folder, name, (len(files.paths), *self.image(files.paths[0]).shape))

        def decode(index: int) -> None:
            image = self.image(files.paths[index])
            check_size(image, images, files.paths[index], files.paths[0])
            images[index] = image

        for _ in together(decode, range(len(files.paths))):
            pass
        return Split(torch.from_numpy(images), torch.from_numpy(files.labels))

    def image(self, path: Path) -> NDArray[np.uint8]:
        """One image after its preparation, shape (C, H, W).

        Raises:
            DataError: it cannot be read, or has more than a byte a channel.
        """
        with opened(path) as image:
            check_depth(image, path)
            pixels = np.array(image.convert("L" if self.channels == 1 else "RGB"))
        planes = pixels[None] if self.channels == 1 else np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
        return prepared(torch.from_numpy(planes).unsqueeze(0), self.prepare)[0].numpy()


def decoded(path: Path, data: Data, steps: Sequence[Step], folder: Path, tell: Say) -> Dataset:
    """The data set of a folder of images.

    Args:
        path: of the images.
        data: the job's settings.
        steps: of the preparation.
        folder: of the store.
        tell: told of the progress.

    Raises:
        DataError: an image cannot be read, or a split has none.
    """
    found = find_images(path, tell)
    limits = data.limit.model_dump()
    files = {name: each.first(limits[name]) for name, each in divided_files(found.splits, data.split).items()}
    check_parts({name: len(files[name].paths) if name in files else 0 for name in SPLITS}, set(files))
    channels = channels_of(path for each in files.values() for path in each.paths)
    decoder = Decoder(channels, Chain(steps), folder, tell)
    splits = {name: decoder.split(name, each) for name, each in files.items()}
    return dataset_of(splits, Parts({}, "classification", classes=found.classes), str(path))


def check_size(image: NDArray[np.uint8], images: NDArray[np.uint8], path: Path, first: Path) -> None:
    """See that an image is of the size of the others.

    Raises:
        DataError: it is not.
    """
    if image.shape != images.shape[1:]:
        (height, width), (tall, wide) = image.shape[1:], images.shape[2:]
        raise DataError(
            f"{path}: is {width} x {height} pixels, {first.name} is {wide} x {tall}; "
            "put resize first in spec.pipeline.data.transforms"
        )


def channels_of(paths: Iterable[Path]) -> int:
    """1 where every image is gray, else 3; looks no further than the first that is not.

    Raises:
        DataError: one cannot be read, or has more than a byte a channel.
    """
    return 1 if all(mode in GRAY for mode in together(mode_of, paths)) else 3


def mode_of(path: Path) -> str:
    """Pillow's word for what the pixels of an image are.

    Raises:
        DataError: it cannot be read, or has more than a byte a channel.
    """
    with opened(path) as image:
        check_depth(image, path)
        return str(image.mode)


def check_depth(image: Any, path: Path) -> None:
    """See that an open image has no more than a byte a channel.

    Raises:
        DataError: it has.
    """
    if image.mode.startswith(DEEP):
        raise DataError(f"{path}: has more than 8 bits a channel (mode {image.mode}); convert it to 8")


class opened:  # noqa: N801 - used like the function it could be, but for the errors after `yield`
    """An image file, open; errors on the way, decoding included, name it.

    Raises:
        DataError: the file cannot be read or decoded, or the library for it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        """Open the file."""
        pillow = pillow_library()
        try:
            self._image = pillow.open(self._path)
        except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
            raise undecodable(self._path, error) from error
        return self._image

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Close the file."""
        self._image.close()
        if isinstance(error, (OSError, ValueError, SyntaxError)):
            raise undecodable(self._path, error) from error


def undecodable(path: Path, error: BaseException) -> DataError:
    """The error that an image cannot be read, or is none."""
    if isinstance(error, OSError) and error.errno:  # Pillow's own, for what it cannot decode, have no number
        return unreadable(path, error)
    return DataError(f"{path}: cannot be read ({error}); replace or remove it")


def pillow_library() -> Any:
    """The library that decodes images.

    Raises:
        DataError: it is missing.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DataError("image-folder needs the library Pillow; install dltrain[data]") from error
    return Image


def together(work: Callable[[Given], Got], given: Iterable[Given]) -> Iterable[Got]:
    """Results in order, worked out by as many threads as this process may use cores; the first error is raised."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        yield from pool.map(work, given)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
