"""Samples in memory, and the checks that a data set can be trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain.api.data import Limit, Task
from dltrain_trainer.errors import DataError

MAX_CLASSES: Final = 65_536
"""More is a mistake: labels that are identifiers, say, and a last layer that fits no memory."""
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Split:
    """Samples and what is to be predicted of them."""

    inputs: Tensor
    """uint8 (N, C, H, W) images, float32 (N, F) tables or float32 (N, T, F) series, NaN where a value is missing."""
    targets: Tensor
    """int64 (N,) classes, float32 (N, K) numbers, or float32 (N, K) of 0 and 1."""

    def __len__(self) -> int:
        return len(self.targets)

    def first(self, count: int | None) -> Split:
        """The first so many samples; all for None."""
        return Split(self.inputs[:count], self.targets[:count])

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The samples at some indices, in their order."""
        chosen = torch.from_numpy(indices)
        return Split(self.inputs[chosen], self.targets[chosen])


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of a table or series."""

    name: str
    categories: tuple[str, ...] = ()
    """What its values 0, 1, 2 ... stand for, where the column holds text."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Splits of the same kind."""

    train: Split
    validation: Split | None
    test: Split
    task: Task
    outputs: int
    """Classes or target columns: of all the data, however little of it is used."""
    features: tuple[Feature, ...] = ()
    """The columns of tables and series; none for images."""
    classes: tuple[str, ...] = ()
    """The classes' names, where the source gives them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample's inputs."""
        return tuple(self.train.inputs.shape[1:])

    def limited(self, limit: Limit) -> Dataset:
        """The data set with the first samples of each split only."""
        validation = self.validation and self.validation.first(limit.validation)
        return replace(
            self, train=self.train.first(limit.train), validation=validation, test=self.test.first(limit.test)
        )


def make_split(inputs: Array, targets: Array, task: Task, source: str) -> Split:
    """A split from arrays, checked.

    Args:
        inputs: unsigned bytes of shape (N, H, W) or (N, H, W, C), or numbers of shape (N, F) or (N, T, F).
        targets: whole numbers from 0 of shape (N,), or numbers of shape (N,) or (N, K).
        task: what the targets are.
        source: where they come from, for errors.

    Raises:
        DataError: the arrays do not make up a split.
    """
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets) or not len(targets):
        raise DataError(
            f"{source}: has inputs {describe(inputs)} and targets {describe(targets)}; it needs as many of each, not 0"
        )
    if not inputs.size:
        raise DataError(f"{source}: inputs must have values, not {describe(inputs)}; store them anew")
    to_tensor = image_inputs if inputs.dtype == np.uint8 else number_inputs
    return Split(to_tensor(inputs, source), TARGETS[task](targets, source))


def image_inputs(images: Array, source: str) -> Tensor:
    """Unsigned bytes of shape (N, H, W) or (N, H, W, C) as a tensor of shape (N, C, H, W).

    Raises:
        DataError: they have another shape.
    """
    if images.ndim not in {3, 4} or (images.ndim == 4 and images.shape[3] not in {1, 3, 4}):
        raise DataError(
            f"{source}: images must be uint8 of shape (N, H, W) or (N, H, W, C) with 1, 3 or 4 channels, "
            f"not {describe(images)}; convert them"
        )
    return torch.from_numpy(np.array(images[:, None] if images.ndim == 3 else np.moveaxis(images, 3, 1), order="C"))


def number_inputs(numbers: Array, source: str) -> Tensor:
    """Numbers of shape (N, F) or (N, T, F) as a float32 tensor; NaN is a missing value.

    Raises:
        DataError: they have another shape or type, or are infinite.
    """
    if numbers.ndim not in {2, 3} or not is_real(numbers):
        raise DataError(
            f"{source}: inputs must be uint8 images, or numbers of shape (N, F) or (N, T, F), not {describe(numbers)}; "
            "convert them"
        )
    with np.errstate(over="ignore"):  # found below
        inputs = torch.from_numpy(np.array(numbers, np.float32, order="C"))
    if torch.isinf(inputs).any():
        where = first_index(torch.isinf(inputs))
        raise DataError(f"{source}: has an infinite value at {where}; leave values empty (NaN) where they are missing")
    return inputs


def class_targets(labels: Array, source: str) -> Tensor:
    """Whole numbers from 0 of shape (N,) as an int64 tensor.

    Raises:
        DataError: they are something else.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{source}: labels must be whole numbers of shape (N,), not {describe(labels)}; "
            "convert them, or set spec.pipeline.data.task"
        )
    for label in (labels.min(), labels.max()):
        if not 0 <= label < MAX_CLASSES:
            raise DataError(f"{source}: labels must be from 0 to {MAX_CLASSES - 1}, found {label}; number the classes")
    return torch.from_numpy(labels.astype(np.int64))


def number_targets(targets: Array, source: str) -> Tensor:
    """Finite numbers of shape (N,) or (N, K) as a float32 tensor of shape (N, K).

    Raises:
        DataError: they are something else.
    """
    if targets.ndim not in {1, 2} or not is_real(targets):
        raise DataError(f"{source}: targets must be numbers of shape (N,) or (N, K), not {describe(targets)}")
    with np.errstate(over="ignore"):  # found below
        columns = torch.from_numpy(np.array(targets.reshape(len(targets), -1), np.float32, order="C"))
    if not torch.isfinite(columns).all():
        where = first_index(~torch.isfinite(columns))
        raise DataError(f"{source}: the target at {where} is missing or infinite; leave such samples out")
    return columns


def label_targets(targets: Array, source: str) -> Tensor:
    """Columns of 0 and 1 as a float32 tensor of shape (N, K).

    Raises:
        DataError: they are something else.
    """
    columns = number_targets(targets, source)
    other = (columns != 0) & (columns != 1)
    if other.any():
        where = first_index(other)
        value = columns[where].item()
        raise DataError(f"{source}: multilabel targets must be 0 or 1, found {value:g} at {where}; convert them")
    return columns


TARGETS: Final[Mapping[Task, Callable[[Array, str], Tensor]]] = {
    "classification": class_targets,
    "regression": number_targets,
    "multilabel": label_targets,
}


def make_dataset(dataset: Dataset, source: str) -> Dataset:
    """A data set whose splits fit each other; checked.

    Raises:
        DataError: they differ in shape, or a class cannot be learnt.
    """
    others = {"validation": dataset.validation, "test": dataset.test}
    for name, split in others.items():
        if split is not None:
            check_alike(dataset, split, name, source)
    return dataset


def check_alike(dataset: Dataset, other: Split, name: str, source: str) -> None:
    """See that a model of the training split can be applied to another one.

    Raises:
        DataError: it cannot.
    """
    train = dataset.train
    kinds = [(split.inputs.dtype, *split.inputs.shape[1:], *split.targets.shape[1:]) for split in (train, other)]
    if kinds[0] != kinds[1]:
        shapes = [f"{describe(split.inputs)} with targets {describe(split.targets)}" for split in (train, other)]
        raise DataError(f"{source}: training samples are {shapes[0]}, {name} samples {shapes[1]}; make them alike")
    if train.targets.dtype == torch.int64 and other.targets.max() >= dataset.outputs:
        raise DataError(
            f"{source}: the {name} split has label {int(other.targets.max())}, the training labels end at "
            f"{dataset.outputs - 1}; give both splits the same classes"
        )


def outputs_of(train: Split) -> int:
    """How many classes or target columns the targets of a training split tell apart."""
    return int(train.targets.max()) + 1 if train.targets.dtype == torch.int64 else train.targets.shape[1]


def is_real(array: Array) -> bool:
    """Whether an array holds real numbers or truth values."""
    return bool(
        np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer) or array.dtype == bool
    )


def first_index(found: Tensor) -> tuple[int, ...]:
    """Where the first true value is."""
    return tuple(found.nonzero()[0].tolist())


def describe(array: Array | Tensor) -> str:
    """An array's type and shape."""
    return f"{str(array.dtype).removeprefix('torch.')} of shape {tuple(array.shape)}"
