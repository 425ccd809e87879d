"""A data set in memory, and the checks that it can be trained with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.errors import DataError


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

    @property
    def classes(self) -> int:
        """How many classes the labels tell apart."""
        return int(max(self.train.labels.max(), self.test.labels.max())) + 1

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
        raise DataError(f"{source}: images must be uint8 of shape (N, H, W) or (N, H, W, C), not {describe(images)}")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{source}: labels must be whole numbers of shape (N,), not {describe(labels)}")
    if len(images) != len(labels) or not len(labels):
        raise DataError(f"{source}: has {len(images)} images and {len(labels)} labels; it needs one label an image")
    if labels.min() < 0:
        raise DataError(f"{source}: labels must be 0 or more, found {labels.min()}")
    batch = images[:, None] if images.ndim == 3 else np.moveaxis(images, 3, 1)
    return Split(torch.from_numpy(np.array(batch)), torch.from_numpy(labels.astype(np.int64)))


def describe(array: NDArray[np.generic]) -> str:
    """An array's type and shape."""
    return f"{array.dtype} of shape {array.shape}"
