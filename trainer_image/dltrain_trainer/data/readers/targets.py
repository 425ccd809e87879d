"""Turns columns into what is to be predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import Task
from dltrain_trainer.errors import DataError

Column = tuple[NDArray[np.float64], tuple[str, ...]]
"""Numbers, and the words they stand for where they do."""


def targets_of(columns: Mapping[str, Column], task: Task, source: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The targets of all rows, and the names of classes.

    Args:
        columns: the target columns by name.
        task: what they are.
        source: where they come from, for errors.

    Raises:
        DataError: a row has no target, or the columns do not fit the task.
    """
    for name, (numbers, words) in columns.items():
        check_column(name, numbers, words, task, source)
    if task != "classification":
        return np.stack([numbers for numbers, _ in columns.values()], axis=1), ()
    if len(columns) > 1:
        raise DataError(
            f"{source}: classification has one target, not {', '.join(columns)}; name one, or set task to multilabel"
        )
    [(numbers, words)] = columns.values()
    if words:
        return numbers.astype(np.int64), words
    values, places = np.unique(numbers, return_inverse=True)
    return places.astype(np.int64), tuple(str(int(value)) for value in values)


def check_column(name: str, numbers: NDArray[np.float64], words: tuple[str, ...], task: Task, source: str) -> None:
    """See that a target column has a value in every row, of the task's kind.

    Raises:
        DataError: it has not.
    """
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax()) + 1
        raise DataError(f"{source}: target {name} has no value in row {row}; fill it in, or remove such rows")
    if words and task != "classification":
        raise DataError(f"{source}: target {name} holds text, which is no {task}; set task to classification")
    odd = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
    if task == "classification" and not words and odd.any():
        found = numbers[odd][0]
        raise DataError(f"{source}: target {name} has the value {found:g}, which is no class; set task to regression")
