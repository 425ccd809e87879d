"""A data set in memory, and the checks that it can be trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.errors import DataError

MAX_CLASSES = 65_536
"""More is a mistake: labels that are identifiers, say, and a last layer that fits no memory."""


@dataclass(frozen=True, slots=True)
class Split:
    """Samples and their labels."""

    images: Tensor
    """uint8, shape (N, C, H, W)."""
    labels: Tensor
    """int64, shape (N,)."""

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Split:
        """The first so many samples; all for None."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training and a test split of the same kind."""

    train: Split
    test: Split
    classes: int
    """How many classes the labels tell apart: of all the data, however little of it is used."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a sample."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def make_split(images: NDArray[np.uint8], labels: NDArray[np.integer], source: str) -> Split:
    """A split from arrays, checked.

    Args:
        images: (N, H, W) or (N, H, W, C), unsigned bytes.
        labels: (N,), whole numbers from 0.
        source: where they come from, for errors.

    Raises:
        DataError: the arrays do not make up a split.
    """
    if images.dtype != np.uint8 or images.ndim not in {3, 4}:
        raise DataError(
            f"{source}: images must be uint8 of shape (N, H, W) or (N, H, W, C), not {describe(images)}; convert them"
        )
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{source}: labels must be whole numbers of shape (N,), not {describe(labels)}; convert them")
    if len(images) != len(labels) or not len(labels):
        raise DataError(
            f"{source}: has {len(images)} images and {len(labels)} labels; it needs samples, one label each"
        )
    if not images.size:
        raise DataError(f"{source}: images must have pixels, not {describe(images)}; store them anew")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < MAX_CLASSES:
            raise DataError(f"{source}: labels must be from 0 to {MAX_CLASSES - 1}, found {label}; number the classes")
    batch = images[:, None] if images.ndim == 3 else np.moveaxis(images, 3, 1)
    return Split(torch.from_numpy(np.array(batch)), torch.from_numpy(labels.astype(np.int64)))


def make_dataset(train: Split, test: Split, source: str) -> Dataset:
    """A data set from two splits that fit each other.

    Raises:
        DataError: they differ in shape, or the test split has a class that cannot be learnt.
    """
    shapes = [tuple(split.images.shape[1:]) for split in (train, test)]
    if shapes[0] != shapes[1]:
        raise DataError(f"{source}: training images are {shapes[0]}, test images {shapes[1]}; make them alike")
    classes, found = int(train.labels.max()) + 1, int(test.labels.max())
    if found >= classes:
        raise DataError(
            f"{source}: the test split has label {found}, the training labels end at {classes - 1}; "
            "give both splits the same classes"
        )
    return Dataset(train, test, classes)


def describe(array: NDArray[np.generic]) -> str:
    """An array's type and shape."""
    return f"{array.dtype} of shape {array.shape}"
