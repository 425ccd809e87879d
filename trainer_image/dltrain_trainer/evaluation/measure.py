"""All of a job's metrics at once, and the artefacts that keep them."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any, Final

from dltrain.api.evaluate import Evaluate, wanted_metrics
from dltrain_trainer.evaluation.families import FAMILIES, Measured, Question
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.problems import MetricError
from dltrain_trainer.evaluation.ranks import Ranks

EVALUATION_FILE: Final = "evaluation.json"
CURVES_FILE: Final = "curves.json"


def measure(predictions: Predictions, evaluate: Evaluate, ranks: Ranks) -> Measured:
    """Measure what a job asks for, or what is usual for its task; every rank gets the same, to the bit.

    Args:
        predictions: this rank's share; how the samples are shared out does not matter.
        evaluate: the job's settings.
        ranks: those that share the work.

    Raises:
        MetricError: on every rank: there are no samples, or a metric has no value; `evaluation_problems` tells before.
    """
    (samples,) = ranks.sum_integers([len(predictions)])
    if not samples:
        raise MetricError(
            "spec.pipeline.evaluate: needs a test split with samples (got none); give one, or split one off"
        )
    wanted = wanted_metrics(evaluate, predictions.task)
    answers = []
    for family in dict.fromkeys(FAMILIES[name] for name in wanted):
        names = tuple(name for name in wanted if FAMILIES[name] is family)
        answers.append(family(Question(names, evaluate.k, predictions, ranks)))
    about = {
        "task": predictions.task,
        "samples": samples,
        "outputs": predictions.width,
        "average": averaging(predictions),
    }
    return reduce(Measured.__or__, answers, Measured(details=about))


def averaging(predictions: Predictions) -> str:
    """How the values of classes, labels or columns become one."""
    return "class 1" if predictions.binary else "mean"


def contents(measured: Measured) -> dict[str, dict[str, Any]]:
    """What is kept of the evaluation: file name -> plain JSON values.

    evaluation.json holds the metrics, their values per class, label or column, and what is not one number: the
    confusion matrix (row: the class, column: the answer) and the bins of the reliability diagram.  curves.json holds
    the ROC and precision-recall curves, where there are any.
    """
    evaluation = {**measured.details, "metrics": measured.metrics, "perOutput": measured.per_output}
    return {EVALUATION_FILE: evaluation} | ({CURVES_FILE: measured.curves} if measured.curves else {})


def artefacts(measured: Measured) -> dict[str, bytes]:
    """The files that keep the evaluation: name -> JSON."""
    return {name: json.dumps(content, allow_nan=False).encode() for name, content in contents(measured).items()}
