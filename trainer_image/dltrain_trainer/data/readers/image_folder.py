"""Finds the PNG and JPEG files of a folder with a folder for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.data.cache import Say
from dltrain_trainer.data.readers.parts import SPLITS
from dltrain_trainer.errors import DataError

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
ORDER_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of one split."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def take(self, which: NDArray[np.int64]) -> ImageFiles:
        """Some of the files."""
        return ImageFiles(tuple(self.paths[index] for index in which), self.labels[which])

    def first(self, count: int | None) -> ImageFiles:
        """The first so many; all for None."""
        return ImageFiles(self.paths[:count], self.labels[:count])


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The files of a source."""

    splits: Mapping[str, ImageFiles]
    classes: tuple[str, ...]


def find_images(folder: Path, tell: Say) -> ImageFolder:
    """The files of a folder: CLASS/FILE, or SPLIT/CLASS/FILE where there is a folder named train.

    Raises:
        DataError: there are none, or a class has no training images.
    """
    names = subfolders(folder)
    declared = [split for split in SPLITS if split in names] if "train" in names else []
    roots = {split: folder / split for split in declared} or {"train": folder}
    classes = tuple(subfolders(roots["train"]))
    if not classes:
        raise DataError(f"{folder}: has no folders of images, one for each class; correct spec.pipeline.data.source")
    return ImageFolder({split: files_of(root, classes, tell) for split, root in roots.items()}, classes)


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order.

    Raises:
        DataError: it cannot be listed.
    """
    try:
        return sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); correct spec.pipeline.data.source") from error


def files_of(root: Path, classes: Sequence[str], tell: Say) -> ImageFiles:
    """The files of one split, in an order that mixes the classes and is always the same: the first few show them all.

    Raises:
        DataError: there are none, or a class is unknown.
    """
    if unknown := [name for name in subfolders(root) if name not in classes]:
        raise DataError(f"{root}: has class {unknown[0]}, which no training image shows; give both the same classes")
    found = [(path, label) for label, name in enumerate(classes) for path in listing(root / name)]
    images = [(path, label) for path, label in found if path.suffix.lower() in SUFFIXES]
    if len(images) < len(found):
        tell(f"{root}: {len(found) - len(images)} of {len(found)} files are no PNG or JPEG and are left out")
    if not images:
        raise DataError(f"{root}: has no PNG or JPEG files below {', '.join(classes[:5])}; convert them")
    order = np.random.Generator(np.random.Philox(key=ORDER_SEED)).permutation(len(images))
    return ImageFiles(tuple(path for path, _ in images), np.array([label for _, label in images])).take(order)


def listing(folder: Path) -> list[Path]:
    """The files of a folder, in order; none where it is missing."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))
