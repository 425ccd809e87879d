"""Metrics that count answers, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from dltrain_trainer.evaluation.classes import accuracy, answers, class_counts, confusion_matrix, top_k_accuracy
from dltrain_trainer.evaluation.predict import Predictions
from tests.trainer.group import ALONE
from tests.trainer.metrics.builders import of_classes, of_labels

CASES = [
    pytest.param(of_classes(), id="classes"),
    pytest.param(of_classes(classes=2), id="two classes"),
    pytest.param(of_classes(ties=True), id="equally likely classes"),
    pytest.param(of_classes(40, 12, missing=(0, 7)), id="classes without samples"),
    pytest.param(of_labels(), id="labels"),
    pytest.param(of_labels(3), id="labels that are never there"),
]
CLASSES = CASES[:4]


@pytest.mark.parametrize("predictions", CASES)
def test_accuracy_is_scikit_learns(predictions: Predictions) -> None:
    expected = reference.accuracy_score(predictions.targets, answers(predictions))
    assert accuracy(predictions, ALONE) == expected


@pytest.mark.parametrize("predictions", CASES)
def test_precision_recall_and_f1_of_each_class_are_scikit_learns(predictions: Predictions) -> None:
    counts = class_counts(predictions, ALONE)
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        predictions.targets, answers(predictions), labels=np.arange(predictions.width), zero_division=0
    )
    np.testing.assert_allclose(
        [counts.precision, counts.recall, counts.f1], [precision, recall, f1], rtol=0, atol=1e-12
    )
    assert counts.there.tolist() == support.tolist()


@pytest.mark.parametrize("predictions", CLASSES)
def test_the_confusion_matrix_is_scikit_learns(predictions: Predictions) -> None:
    expected = reference.confusion_matrix(
        predictions.targets, answers(predictions), labels=np.arange(predictions.width)
    )
    assert confusion_matrix(predictions, ALONE).tolist() == expected.tolist()


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("predictions", [case for case in CLASSES if case.id != "two classes"])
def test_top_k_is_scikit_learns_ties_included(predictions: Predictions, k: int) -> None:
    expected = reference.top_k_accuracy_score(
        predictions.targets, predictions.outputs, k=k, labels=np.arange(predictions.width)
    )
    assert top_k_accuracy(predictions, k, ALONE) == expected


def test_among_equally_likely_classes_the_first_is_the_answer() -> None:
    predictions = Predictions("classification", np.array([[0.2, 0.4, 0.4]]), np.array([1]))
    assert (answers(predictions).tolist(), accuracy(predictions, ALONE)) == ([1], 1.0)


def test_a_class_that_is_never_said_has_precision_0() -> None:
    counts = class_counts(Predictions("classification", np.array([[1.0, 0.0]] * 2), np.array([0, 1])), ALONE)
    assert (counts.precision.tolist(), counts.recall.tolist(), counts.f1.tolist()) == ([0.5, 0], [1, 0], [2 / 3, 0])
