"""The expected calibration error, held against its definition and scikit-learn's bins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from dltrain_trainer.evaluation.calibration import BINS, bins_of, reliability
from dltrain_trainer.evaluation.predict import Predictions
from tests.trainer.group import ALONE
from tests.trainer.metrics.builders import of_classes

CASES = [
    pytest.param(of_classes(), id="classes"),
    pytest.param(of_classes(2000, 2), id="two classes"),
    pytest.param(of_classes(ties=True), id="ties"),
    pytest.param(of_classes(1), id="one sample"),
]


def sure_and_right(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    return predictions.outputs.max(1), predictions.outputs.argmax(1) == predictions.targets


@pytest.mark.parametrize("predictions", CASES)
def test_the_error_is_the_mean_gap_over_the_bins_of_the_paper(predictions: Predictions) -> None:
    confidence, right = sure_and_right(predictions)
    edges, error = np.linspace(0, 1, BINS + 1), 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert reliability(predictions, ALONE).error == pytest.approx(error, rel=0, abs=1e-12)


@pytest.mark.parametrize("predictions", CASES)
def test_the_bins_are_scikit_learns(predictions: Predictions) -> None:
    confidence, right = sure_and_right(predictions)
    accuracy, mean = calibration_curve(right, confidence, n_bins=BINS)
    found = reliability(predictions, ALONE)
    assert [value for value in found.accuracy if value is not None] == pytest.approx(accuracy, rel=0, abs=1e-12)
    assert [value for value in found.confidence if value is not None] == pytest.approx(mean, rel=0, abs=1e-12)
    assert sum(found.samples) == len(predictions)


def test_a_sure_and_always_wrong_model_has_error_1() -> None:
    predictions = Predictions("classification", np.array([[1000.0, 0.0]] * 3), np.ones(3, int))
    found = reliability(predictions, ALONE)
    assert (found.error, found.samples[-1], found.accuracy[-1], found.confidence[0]) == (1.0, 3, 0.0, None)


def test_a_probability_on_an_edge_is_in_the_bin_below() -> None:
    assert bins_of(np.linspace(0, 1, BINS + 1)).tolist() == [0, *range(BINS)]
