"""How each metric is measured: metrics that have their work in common are measured together, by one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dltrain.api.evaluate import MetricName
from dltrain_trainer.evaluation import classes
from dltrain_trainer.evaluation.calibration import reliability
from dltrain_trainer.evaluation.curves import Curve
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.problems import MetricError
from dltrain_trainer.evaluation.ranks import Ranks
from dltrain_trainer.evaluation.regression import errors
from dltrain_trainer.evaluation.separation import Separation, separations

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be measured."""

    names: tuple[str, ...]
    """Metrics of one family."""
    k: int
    """Of topK."""
    predictions: Predictions
    """This rank's share."""
    ranks: Ranks
    """Those that share the work."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, as plain JSON values."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Metric -> value."""
    per_output: dict[str, list[Any]] = field(default_factory=dict)
    """Metric -> the value of each class, label or column; None where it has none."""
    details: Json = field(default_factory=dict)
    """What is not one number."""
    curves: dict[str, list[Json]] = field(default_factory=dict)
    """`roc` and `precisionRecall`: a curve for each class that has one."""

    def __or__(self, other: Measured) -> Measured:
        return Measured(
            self.metrics | other.metrics,
            self.per_output | other.per_output,
            self.details | other.details,
            self.curves | other.curves,
        )


Family = Callable[[Question], Measured]


class View(NamedTuple):
    """A ranking metric."""

    value: Callable[[Separation], float | None]
    curve_name: str
    curve: Callable[[Separation], Curve | None]


VIEWS: Final = {
    "averagePrecision": View(lambda of: of.average_precision, "precisionRecall", lambda of: of.precision_recall),
    "rocAuc": View(lambda of: of.roc_auc, "roc", lambda of: of.roc),
}


def measure_accuracy(question: Question) -> Measured:
    """The share of right answers."""
    return Measured({"accuracy": classes.accuracy(question.predictions, question.ranks)})


def measure_top_k(question: Question) -> Measured:
    """The share of samples whose class is among the k most likely."""
    value = classes.top_k_accuracy(question.predictions, question.k, question.ranks)
    return Measured({"topK": value}, details={"k": question.k})


def measure_classes(question: Question) -> Measured:
    """Precision, recall and F1; of classes the mean is over those that occur, as scikit-learn's."""
    predictions = question.predictions
    counts = classes.class_counts(predictions, question.ranks)
    several = predictions.task == "classification" and not predictions.binary
    counted = counts.known if several else np.ones(predictions.width, np.bool_)
    found = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
    wanted = {name: optional(found[name], counted) for name in question.names}
    metrics = {name: average(name, values, predictions) for name, values in wanted.items()}
    return Measured(metrics, {"support": counts.there.tolist(), **wanted})


def measure_matrix(question: Question) -> Measured:
    """The confusion matrix."""
    matrix = classes.confusion_matrix(question.predictions, question.ranks)
    return Measured(details={"confusionMatrix": matrix.tolist()})


def measure_separation(question: Question) -> Measured:
    """Average precision and ROC-AUC, each with its curves."""
    found = {one.output: one for one in separations(question.predictions, question.ranks)}
    result = Measured()
    for name in question.names:
        view = VIEWS[name]
        outputs = range(question.predictions.width)
        values = [view.value(found[output]) if output in found else None for output in outputs]
        drawn = [(output, view.curve(one)) for output, one in found.items()]
        curves = [{"output": output, **curve.to_dict()} for output, curve in drawn if curve is not None]
        metric = {name: average(name, values, question.predictions)}
        result |= Measured(metric, {name: values}, curves={view.curve_name: curves})
    return result


def measure_calibration(question: Question) -> Measured:
    """The expected calibration error, with its bins."""
    found = reliability(question.predictions, question.ranks)
    return Measured({"calibrationError": found.error}, details={"reliability": found.to_dict()})


def measure_errors(question: Question) -> Measured:
    """Errors of numbers, and their mean over the columns."""
    found = errors(question.predictions, question.ranks)
    values = {"mse": found.mse.tolist(), "mae": found.mae.tolist(), "r2": found.r2.tolist()}
    wanted = {name: values[name] for name in question.names}
    return Measured({name: float(np.mean(columns)) for name, columns in wanted.items()}, wanted)


def average(name: str, values: list[float | None], predictions: Predictions) -> float:
    """The one value of a metric that each class has: of two classes the second's, else the mean of those there are.

    Raises:
        MetricError: there are none.
    """
    there = [value for value in (values[1:] if predictions.binary else values) if value is not None]
    if not there:
        raise MetricError(f"spec.pipeline.evaluate.metrics: {name} has no value on this test split; use another split")
    return float(np.mean(there))


def optional(values: NDArray[np.float64], there: NDArray[np.bool_]) -> list[float | None]:
    """Values, and None in the place of those that are not there."""
    return [float(value) if is_there else None for value, is_there in zip(values, there, strict=True)]


FAMILIES: Final[dict[MetricName, Family]] = {
    "accuracy": measure_accuracy,
    "topK": measure_top_k,
    "precision": measure_classes,
    "recall": measure_classes,
    "f1": measure_classes,
    "confusionMatrix": measure_matrix,
    "averagePrecision": measure_separation,
    "rocAuc": measure_separation,
    "calibrationError": measure_calibration,
    "mse": measure_errors,
    "mae": measure_errors,
    "r2": measure_errors,
}
