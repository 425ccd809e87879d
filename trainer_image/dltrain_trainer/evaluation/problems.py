"""What keeps a metric from being measured, in words for the job's author."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import Task
from dltrain.api.evaluate import Evaluate, metrics_for, wanted_metrics
from dltrain_trainer.errors import FinalError

PATH: Final = "spec.pipeline.evaluate"
MATRIX_CLASSES: Final = 1000
"""A confusion matrix of more classes is neither readable nor small."""
LEAST_K: Final = 2
"""The API accepts no lower k for topK: with so few classes there is none that could be lowered to."""


class MetricError(FinalError):
    """A metric has no value for this model or this data."""


def evaluation_problems(evaluate: Evaluate, task: Task, outputs: int, targets: NDArray[Any]) -> tuple[str, ...]:
    """Why the job's metrics could not be measured on a test split; for before the training, not after it.

    Args:
        evaluate: the job's settings.
        task: what is learnt.
        outputs: classes, or target columns.
        targets: those of the test split: (N,) classes, or (N, K).

    Returns:
        One message a problem, with field path, rule, value and remedy; empty if all can be measured.
    """
    if not len(targets):
        return (f"{PATH}: needs a test split with samples (got none); give one, or split one off",)
    metrics = wanted_metrics(evaluate, task)
    unfit = [name for name in metrics if name not in metrics_for(task)]
    known = ", ".join(metrics_for(task))
    found = [f"{PATH}.metrics: {name} is not a metric of {task}; choose from {known}" for name in unfit]
    for name in metrics:
        if name not in unfit and name in LIMITS:
            found += [f"{PATH}.{problem}" for problem in LIMITS[name](evaluate, outputs, targets)]
    return tuple(found)


def top_k_problems(evaluate: Evaluate, outputs: int, _targets: NDArray[Any]) -> Iterator[str]:
    """Among as many classes as there are, the right one is always found."""
    if outputs <= LEAST_K:
        yield f"metrics: topK needs more than {LEAST_K} classes (got {outputs}); remove it"
    elif evaluate.k >= outputs:
        yield f"topK: must be less than the number of classes, {outputs} (got {evaluate.k}); lower it"


def matrix_problems(_evaluate: Evaluate, outputs: int, _targets: NDArray[Any]) -> Iterator[str]:
    """A confusion matrix grows with the square of the classes."""
    if outputs > MATRIX_CLASSES:
        yield f"metrics: confusionMatrix is for at most {MATRIX_CLASSES} classes (got {outputs}); remove it"


def precision_problems(_evaluate: Evaluate, outputs: int, targets: NDArray[Any]) -> Iterator[str]:
    """Average precision is a mean over positive samples."""
    positives, _ = kinds(outputs, targets)
    if not positives.any():
        yield "metrics: averagePrecision needs positive samples in the test split (got none); use another split"


def auc_problems(_evaluate: Evaluate, outputs: int, targets: NDArray[Any]) -> Iterator[str]:
    """ROC-AUC is a mean over pairs of a positive and a negative sample."""
    positives, negatives = kinds(outputs, targets)
    if not (positives * negatives).any():
        yield "metrics: rocAuc needs positive and negative samples in the test split (got one kind); use another split"


def r2_problems(_evaluate: Evaluate, _outputs: int, targets: NDArray[Any]) -> Iterator[str]:
    """R2 compares with the spread of the targets."""
    if len(targets) < 2:
        yield "metrics: r2 needs two samples in the test split (got 1); add samples, or remove it"


def kinds(outputs: int, targets: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many positive and negative samples each output has that is ranked: of two classes, the second."""
    if targets.ndim == 1:
        positives = np.bincount(targets, minlength=outputs)[1 if outputs == 2 else 0 :]
    else:
        positives = np.count_nonzero(targets, axis=0)
    return positives, len(targets) - positives


LIMITS: Final = {
    "topK": top_k_problems,
    "confusionMatrix": matrix_problems,
    "averagePrecision": precision_problems,
    "rocAuc": auc_problems,
    "r2": r2_problems,
}
"""Metric -> what it needs of the job and the test split, beyond the task."""
