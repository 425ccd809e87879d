"""How well scores set the samples of each class apart from the rest: the ranking metrics, shared out by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.curves import Curve, precision_recall_curve, roc_curve
from dltrain_trainer.evaluation.log_odds import probability, scorer
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.ranking import Scores, average_precision, merge, roc_auc, sorted_kinds
from dltrain_trainer.evaluation.ranks import Ranks, gather


@dataclass(frozen=True, slots=True)
class Separation:
    """One class against the rest."""

    output: int
    """The class or label, from 0."""
    average_precision: float | None
    """None if there are no samples of it."""
    roc_auc: float | None
    """None if there are no samples of it, or no others."""
    roc: Curve | None
    """None if `roc_auc` is; its thresholds are probabilities."""
    precision_recall: Curve | None
    """None if `average_precision` is; its thresholds are probabilities."""


Kinds = tuple[Scores, Scores]
"""The scores that this rank's samples of a class, and its other samples, have for it; ascending."""


def separations(predictions: Predictions, ranks: Ranks) -> tuple[Separation, ...]:
    """Each class against the rest, over the samples of all ranks; of two classes only the second.

    Each rank sorts its own scores; each class is then merged by one rank, as many classes at a time as there are ranks.

    Raises:
        ValueError: a score is not a number.
    """
    outputs, log_odds = ranked_outputs(predictions), scorer(predictions)

    def kinds_of(output: int) -> Kinds:
        return sorted_kinds(log_odds(output), belongs(predictions, output))

    mine = [
        separation
        for start in range(0, len(outputs), ranks.size)
        for separation in merge_block(kinds_of, outputs[start : start + ranks.size], ranks)
    ]
    found = [separation for part in gather(ranks, mine) for separation in part]
    return tuple(sorted(found, key=lambda separation: separation.output))


def ranked_outputs(predictions: Predictions) -> range:
    """The classes that are set against the rest."""
    return range(1 if predictions.binary else 0, predictions.width)


def merge_block(kinds_of: Callable[[int], Kinds], outputs: range, ranks: Ranks) -> list[Separation]:
    """Send the scores of each class to one rank; what this rank makes of the class that it gets, if any."""
    kinds = [kinds_of(output) for output in outputs]
    kinds += [(np.empty(0), np.empty(0))] * (ranks.size - len(outputs))
    runs = ranks.exchange(kinds)
    if ranks.rank >= len(outputs):
        return []
    return [separate(outputs[ranks.rank], [run for run, _ in runs], [run for _, run in runs])]


def belongs(predictions: Predictions, output: int) -> NDArray[np.bool_]:
    """Which samples are of a class, or have a label, (N,)."""
    if predictions.task == "classification":
        return np.asarray(predictions.targets == output)
    return np.asarray(predictions.targets[:, output] > 0.5)


def separate(output: int, positive: list[Scores], negative: list[Scores]) -> Separation:
    """One class against the rest, from ascending runs of log-odds."""
    ranking = merge(positive, negative)
    curves = (as_probabilities(curve) for curve in (roc_curve(ranking), precision_recall_curve(ranking)))
    return Separation(output, average_precision(ranking), roc_auc(ranking), *curves)


def as_probabilities(curve: Curve | None) -> Curve | None:
    """A curve with probabilities for thresholds, which are log-odds."""
    return curve and replace(curve, thresholds=probability(curve.thresholds))
