"""Metrics that count right and wrong answers: accuracy, top-k, precision, recall, F1, the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.ranks import Ranks

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How often each class or label was found, said and there; of all ranks together."""

    found: Counts
    """Samples of each class that were said to be of it, (K,)."""
    said: Counts
    """Samples that were said to be of each class, (K,)."""
    there: Counts
    """Samples of each class, (K,)."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which classes occur at all, in answers or in targets, (K,)."""
        return (self.said + self.there) > 0

    @property
    def precision(self) -> Floats:
        """The share of right answers among those that say each class, (K,); 0 where none does."""
        return share(self.found, self.said)

    @property
    def recall(self) -> Floats:
        """The share of each class's samples that are found, (K,); 0 where there are none."""
        return share(self.found, self.there)

    @property
    def f1(self) -> Floats:
        """The harmonic mean of precision and recall, (K,); 0 where nothing is found."""
        return share(2 * self.found, self.said + self.there)


def share(part: Counts, whole: Counts) -> Floats:
    """Part of whole, and 0 of nothing."""
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def answers(predictions: Predictions) -> NDArray[Any]:
    """The model's answers: int64 classes (N,), the first of equally likely ones; or whether each label holds (N, K)."""
    if predictions.task == "classification":
        return np.asarray(predictions.logits.argmax(1))
    return np.asarray(predictions.logits > 0)


def class_counts(predictions: Predictions, ranks: Ranks) -> ClassCounts:
    """Count answers by class."""
    said, targets, width = answers(predictions), predictions.targets, predictions.width
    if predictions.task == "classification":
        parts = (np.bincount(part, minlength=width) for part in (said[said == targets], said, targets))
    else:
        there = targets > 0.5
        parts = (np.count_nonzero(part, axis=0) for part in (said & there, said, there))
    total = ranks.sum_integers(np.concatenate(list(parts)).tolist())
    return ClassCounts(*np.array(total, np.int64).reshape(3, width))


def accuracy(predictions: Predictions, ranks: Ranks) -> float:
    """The share of samples whose class, or whose every label, is right."""
    right = answers(predictions) == predictions.targets
    return mean_of(right if right.ndim == 1 else right.all(axis=1), ranks)


def top_k_accuracy(predictions: Predictions, k: int, ranks: Ranks) -> float:
    """The share of samples whose class is among the k most likely.

    Among equally likely classes the higher number counts as more likely, as in scikit-learn's top_k_accuracy_score.
    """
    logits, targets = predictions.logits, predictions.targets[:, None]
    right = np.take_along_axis(logits, targets, 1)
    ahead = (logits > right) | ((logits == right) & (np.arange(predictions.width) > targets))
    return mean_of(np.count_nonzero(ahead, axis=1) < k, ranks)


def mean_of(true: NDArray[np.bool_], ranks: Ranks) -> float:
    """The share of what is true over all ranks."""
    count, samples = ranks.sum_integers([int(np.count_nonzero(true)), true.size])
    return count / samples


def confusion_matrix(predictions: Predictions, ranks: Ranks) -> Counts:
    """How many samples of each class (row) were said to be of each class (column), (K, K)."""
    width = predictions.width
    cells = np.bincount(predictions.targets * width + answers(predictions), minlength=width**2)
    return np.array(ranks.sum_integers(cells.tolist()), np.int64).reshape(width, width)
