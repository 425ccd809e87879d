"""What arrays make up a split, and which are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dltrain.api.data import Limit, Task
from dltrain_trainer.data.samples import Dataset, Split, make_dataset, make_split
from dltrain_trainer.errors import DataError

BYTES = np.arange(48, dtype=np.uint8).reshape(2, 4, 2, 3)
LABELS = np.array([0, 1])


@pytest.mark.parametrize(
    ("inputs", "shape", "dtype"),
    [
        pytest.param(BYTES, (2, 3, 4, 2), torch.uint8, id="colour images"),
        pytest.param(BYTES[..., 0], (2, 1, 4, 2), torch.uint8, id="gray images"),
        pytest.param(np.zeros((2, 5)), (2, 5), torch.float32, id="a table"),
        pytest.param(np.zeros((2, 5, 3), np.int32), (2, 5, 3), torch.float32, id="series"),
    ],
)
def test_inputs(inputs: NDArray[Any], shape: tuple[int, ...], dtype: torch.dtype) -> None:
    split = make_split(inputs, LABELS, "classification", "x")
    assert (tuple(split.inputs.shape), split.inputs.dtype) == (shape, dtype)


def test_pixels_keep_their_place() -> None:
    assert make_split(BYTES, LABELS, "classification", "x").inputs[1, 2, 3, 1] == BYTES[1, 3, 1, 2]


@pytest.mark.parametrize(
    ("task", "targets", "expected"),
    [
        pytest.param("classification", [2, 0], torch.tensor([2, 0]), id="classes"),
        pytest.param("regression", [1.5, 2], torch.tensor([[1.5], [2]]), id="numbers"),
        pytest.param("multilabel", [[0, 1], [1, 1]], torch.tensor([[0.0, 1], [1, 1]]), id="labels"),
    ],
)
def test_targets(task: Task, targets: list[Any], expected: torch.Tensor) -> None:
    torch.testing.assert_close(make_split(np.zeros((2, 1)), np.array(targets), task, "x").targets, expected)


@pytest.mark.parametrize(
    ("inputs", "targets", "task", "message"),
    [
        (BYTES, LABELS[:1], "classification", "as many of each, not 0"),
        (BYTES[:0], LABELS[:0], "classification", "as many of each, not 0"),
        (BYTES[:, :0], LABELS, "classification", "inputs must have values"),
        (np.zeros((2, 4, 4, 2), np.uint8), LABELS, "classification", "with 1, 3 or 4 channels, not uint8 of shape"),
        (np.zeros(2), LABELS, "classification", "numbers of shape (N, F) or (N, T, F), not float64 of shape (2,)"),
        (np.array([["a"], ["b"]]), LABELS, "classification", "convert them"),
        (np.array([[1.0], [np.inf]]), LABELS, "classification", "has an infinite value at (1, 0)"),
        (np.array([[1.0], [1e300]]), LABELS, "classification", "has an infinite value at (1, 0)"),
        (BYTES, LABELS + 0.5, "classification", "labels must be whole numbers of shape (N,), not float64"),
        (BYTES, LABELS - 1, "classification", "labels must be from 0 to 65535, found -1; number the classes"),
        (BYTES, np.array([0.5, np.nan]), "regression", "the target at (1, 0) is missing or infinite"),
        (BYTES, np.array([[0, 1], [0, 2]]), "multilabel", "must be 0 or 1, found 2 at (1, 1); convert them"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_make_up_no_split_are_refused(
    inputs: NDArray[Any], targets: NDArray[Any], task: Task, message: str
) -> None:
    with pytest.raises(DataError) as refused:
        make_split(inputs, targets, task, "digits.npz (train)")
    assert str(refused.value).startswith("digits.npz (train): ")
    assert message in str(refused.value)


def split(count: int = 4, features: int = 2, label: int = 1) -> Split:
    return Split(torch.zeros(count, features), torch.full((count,), label))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param(split(features=3), "test samples float32 of shape (4, 3)", id="shape"),
        pytest.param(split(label=2), "the test split has label 2, the training labels end at 1", id="class"),
    ],
)
def test_splits_that_do_not_fit_are_refused(other: Split, message: str) -> None:
    with pytest.raises(DataError) as refused:
        make_dataset(Dataset(split(), None, other, "classification", 2), "x")
    assert message in str(refused.value)


def test_a_limit_takes_the_first_samples_of_each_split() -> None:
    limited = Dataset(split(4), split(4), split(4), "classification", 2).limited(Limit(train=3, validation=2, test=1))
    assert [len(each) for each in (limited.train, limited.validation, limited.test) if each] == [3, 2, 1]
