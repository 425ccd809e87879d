"""Finds the PNG and JPEG files of a folder with a folder for each class, and divides them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import DataSplit
from dltrain_trainer.data.cache import Say
from dltrain_trainer.data.division import Indices, hashed, indices_of, shares_of
from dltrain_trainer.data.readers.access import source_errors
from dltrain_trainer.data.readers.parts import SPLITS
from dltrain_trainer.errors import DataError

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
KEY_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of one split."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    keys: NDArray[np.int64]
    """A number of each that comes from its class and name alone."""

    def take(self, which: Indices) -> ImageFiles:
        """Some of the files."""
        return ImageFiles(tuple(self.paths[index] for index in which), self.labels[which], self.keys[which])

    def first(self, count: int | None) -> ImageFiles:
        """The first so many; all for None."""
        return ImageFiles(self.paths[:count], self.labels[:count], self.keys[:count])


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
        DataError: it cannot be read.
    """
    with source_errors(folder):
        return sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def files_of(root: Path, classes: Sequence[str], tell: Say) -> ImageFiles:
    """The files of one split, in the order of their keys: it mixes the classes, so that the first few show them all.

    Raises:
        DataError: there are none, a class is unknown, or a folder cannot be read.
    """
    if unknown := [name for name in subfolders(root) if name not in classes]:
        raise DataError(f"{root}: has class {unknown[0]}, which no training image shows; give both the same classes")
    found = [(path, label) for label, name in enumerate(classes) for path in listing(root / name)]
    images = [(path, label) for path, label in found if path.suffix.lower() in SUFFIXES]
    if len(images) < len(found):
        tell(f"{root}: {len(found) - len(images)} of {len(found)} files are no PNG or JPEG and are left out")
    if not images:
        raise DataError(f"{root}: has no PNG or JPEG files below {', '.join(classes[:5])}; convert them")
    paths, labels = zip(*images, strict=True)
    keys = np.array([key_of(path) for path in paths], np.int64)
    return ImageFiles(paths, np.array(labels), keys).take(np.argsort(keys, kind="stable"))


def listing(folder: Path) -> list[Path]:
    """The files of a folder, in order; none where it is missing.

    Raises:
        DataError: it cannot be read.
    """
    with source_errors(folder):
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def key_of(path: Path) -> int:
    """A number of 64 bits from the names of a file and of its class, the same wherever the folder of the classes is."""
    name = os.fsencode(f"{path.parent.name}/{path.name}")
    return int.from_bytes(hashlib.sha256(name).digest()[:KEY_BYTES], "big", signed=True)


def divided_files(splits: Mapping[str, ImageFiles], split: DataSplit) -> dict[str, ImageFiles]:
    """The files of each split; what the source lacks comes from its training files.

    Raises:
        DataError: the job asks for a split that the source has.
    """
    shares = shares_of(split, has_validation="validation" in splits, has_test="test" in splits)
    files = splits["train"]
    ways = zip(SPLITS, by_key(files.keys, shares, split.seed), (1.0, *shares), strict=True)
    return {**splits, **{name: files.take(part) for name, part, share in ways if share}}


def by_key(keys: NDArray[np.int64], shares: tuple[float, ...], seed: int) -> list[Indices]:
    """Files divided by a hash of their keys: each stays in its part whatever files are added or removed.

    But for small folders: a part that would have no file gets the one that is nearest to it, where another has two.

    Args:
        keys: of the files.
        shares: of each part but the first, which gets what is left.
        seed: another one divides otherwise.

    Returns:
        The indices of each part, in order.
    """
    place, part = hashed(keys, shares, seed)
    ends = np.cumsum(shares)
    for which, (low, high) in enumerate(zip((0, *ends), (*ends, 1), strict=True)):
        spare = np.bincount(part, minlength=len(shares) + 1)[part] > 1
        if low < high and which not in part and spare.any():
            part[np.where(spare, np.maximum(low - place, place - high), np.inf).argmin()] = which
    return indices_of(part, len(shares))
