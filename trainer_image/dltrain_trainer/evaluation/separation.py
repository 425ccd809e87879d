"""How well scores set the samples of each class apart from the rest: the ranking metrics, shared out by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.curves import Curve, precision_recall_curve, roc_curve
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
    precision_recall: Curve | None


def separations(predictions: Predictions, ranks: Ranks) -> tuple[Separation, ...]:
    """Each class against the rest, over the samples of all ranks; of two classes only the second.

    Each rank sorts its own scores; each class is then merged by one rank, as many classes at a time as there are ranks.
    """
    outputs = ranked_outputs(predictions)
    mine = [
        separation
        for start in range(0, len(outputs), ranks.size)
        for separation in merge_block(predictions, outputs[start : start + ranks.size], ranks)
    ]
    found = [separation for part in gather(ranks, mine) for separation in part]
    return tuple(sorted(found, key=lambda separation: separation.output))


def ranked_outputs(predictions: Predictions) -> range:
    """The classes that are set against the rest."""
    return range(1 if predictions.binary else 0, predictions.width)


def merge_block(predictions: Predictions, outputs: range, ranks: Ranks) -> list[Separation]:
    """Send the scores of each class to one rank; what this rank makes of the class that it gets, if any."""
    kinds = [kinds_of(predictions, output) for output in outputs]
    kinds += [(np.empty(0), np.empty(0))] * (ranks.size - len(outputs))
    runs = ranks.exchange(kinds)
    if ranks.rank >= len(outputs):
        return []
    return [separate(outputs[ranks.rank], [run for run, _ in runs], [run for _, run in runs])]


def kinds_of(predictions: Predictions, output: int) -> tuple[Scores, Scores]:
    """The scores that this rank's samples of a class, and its other samples, have for it; ascending."""
    return sorted_kinds(predictions.outputs[:, output], belongs(predictions, output))


def belongs(predictions: Predictions, output: int) -> NDArray[np.bool_]:
    """Which samples are of a class, or have a label, (N,)."""
    if predictions.task == "classification":
        return np.asarray(predictions.targets == output)
    return np.asarray(predictions.targets[:, output] > 0.5)


def separate(output: int, positive: list[Scores], negative: list[Scores]) -> Separation:
    """One class against the rest, from ascending runs of scores."""
    ranking = merge(positive, negative)
    return Separation(
        output, average_precision(ranking), roc_auc(ranking), roc_curve(ranking), precision_recall_curve(ranking)
    )
