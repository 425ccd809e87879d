"""Errors of numbers, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.regression import errors
from tests.trainer.group import ALONE
from tests.trainer.metrics.builders import of_numbers

CONSTANT = np.full((5, 1), 0.1)


def numbers(outputs: np.ndarray, targets: np.ndarray) -> Predictions:
    return Predictions("regression", outputs, targets)


@pytest.mark.parametrize(
    "predictions",
    [
        pytest.param(of_numbers(), id="columns of different spread"),
        pytest.param(of_numbers(2, 1), id="two samples"),
        pytest.param(numbers(CONSTANT + np.arange(5)[:, None], CONSTANT), id="constant targets"),
        pytest.param(numbers(CONSTANT, CONSTANT), id="constant targets, met"),
        pytest.param(numbers(np.array([[1.0], [2.0]]), np.array([[1.0], [2.0]])), id="no errors"),
        pytest.param(numbers(np.array([[1e150], [2.0]]), np.array([[1.0], [-2e150]])), id="very large numbers"),
    ],
)
def test_errors_are_scikit_learns(predictions: Predictions) -> None:
    found, (targets, outputs) = errors(predictions, ALONE), (predictions.targets, predictions.outputs)
    for mine, function in (
        (found.mse, reference.mean_squared_error),
        (found.mae, reference.mean_absolute_error),
        (found.r2, reference.r2_score),
    ):
        expected = function(targets, outputs, multioutput="raw_values")
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-12)


def test_r2_of_constant_targets_is_1_or_0() -> None:
    wrong = numbers(CONSTANT + 1, CONSTANT)
    assert (
        errors(numbers(CONSTANT, CONSTANT), ALONE).r2.tolist(),
        errors(wrong, ALONE).r2.tolist(),
    ) == ([1], [0])
