"""What is measured of a trained model, by which names, and which task each metric is for."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from dltrain.api.base import Found, Rule, SpecModel
from dltrain.api.choices import each_once
from dltrain.api.data import Task

NumericMetric = Literal[
    "accuracy",
    "topK",
    "precision",
    "recall",
    "f1",
    "averagePrecision",
    "rocAuc",
    "calibrationError",
    "mse",
    "mae",
    "r2",
]
"""The metrics that are one number: those that a gate or early stopping can follow."""
MetricName = Literal[NumericMetric, "confusionMatrix"]

METRICS_OF: Final[dict[Task, tuple[MetricName, ...]]] = {
    "classification": (
        "accuracy",
        "topK",
        "precision",
        "recall",
        "f1",
        "confusionMatrix",
        "averagePrecision",
        "rocAuc",
        "calibrationError",
    ),
    "multilabel": ("accuracy", "precision", "recall", "f1", "averagePrecision", "rocAuc"),
    "regression": ("mse", "mae", "r2"),
}
"""Task -> the metrics that can be measured of it."""
DEFAULTS: Final[dict[Task, tuple[MetricName, ...]]] = {
    "classification": ("accuracy",),
    "multilabel": ("averagePrecision", "rocAuc"),
    "regression": ("mse", "r2"),
}
NOT_NUMBERS: Final[frozenset[MetricName]] = frozenset({"confusionMatrix"})
"""Metrics that are not one number: they are in the artefacts only."""
LOWER_IS_BETTER: Final[frozenset[MetricName]] = frozenset({"calibrationError", "mse", "mae"})
DEFAULT_K: Final = 5


class Evaluate(SpecModel):
    """What is measured on the test split after training; every metric is exact over all ranks."""

    rules = (
        each_once("metrics", "metric"),
        Rule(
            cel="!has(self.topK) || (has(self.metrics) && 'topK' in self.metrics)",
            holds=lambda evaluate: evaluate.top_k is None or "topK" in (evaluate.metrics or ()),
            message="must be absent unless metrics has topK; remove it, or add topK to metrics",
            at=("topK",),
            found=Found("self.topK", lambda evaluate: str(evaluate.top_k)),
        ),
    )
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1, max_length=len(get_args(MetricName)))] | None = None
    """What to report. Of classes: accuracy, topK (the right class is among the k most likely), precision, recall, f1,
    averagePrecision, rocAuc, calibrationError (expected, 15 bins) and confusionMatrix (an artefact only). Of labels:
    accuracy (all labels of a sample right), precision, recall, f1, averagePrecision, rocAuc. Of numbers: mse, mae, r2.
    precision, recall, f1, averagePrecision and rocAuc are those of class 1 where there are two classes, else the mean
    over the classes, one against the rest; values per class are in the artefacts. Default: accuracy for classes,
    averagePrecision and rocAuc for labels, mse and r2 for numbers."""
    top_k: Annotated[int, Field(ge=2, le=1000)] | None = None
    """The k of the metric topK. Default: 5."""

    @property
    def k(self) -> int:
        """The k of the metric topK."""
        return self.top_k or DEFAULT_K


def metrics_for(task: Task) -> tuple[MetricName, ...]:
    """The metrics that can be measured of a task."""
    return METRICS_OF[task]


def wanted_metrics(evaluate: Evaluate, task: Task) -> tuple[MetricName, ...]:
    """The metrics that a job asks for, or those that are usual for its task."""
    return evaluate.metrics or DEFAULTS[task]
