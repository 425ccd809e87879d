"""ROC and precision-recall curves, thinned to what a plot can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.ranking import Counts, Ranking

POINTS: Final = 1000
"""The most points that a curve keeps."""
DECIMALS: Final = 6
"""Coordinates are written with so many."""
Floats = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve from left to right."""

    x: Floats
    y: Floats
    thresholds: Floats
    """The score at which each point is reached; NaN where no positive sample is gained."""

    def to_dict(self) -> dict[str, Any]:
        """The curve as plain JSON values; null for a threshold that is NaN."""
        rounded = [np.round(part, DECIMALS).tolist() for part in (self.x, self.y)]
        thresholds = [None if np.isnan(score) else float(f"{score:.9g}") for score in self.thresholds]
        return {"x": rounded[0], "y": rounded[1], "threshold": thresholds}


def roc_curve(ranking: Ranking, points: int = POINTS) -> Curve | None:
    """The true positive rate (y) over the false positive rate (x), from (0, 0) to (1, 1), to be joined by lines.

    Only corners are kept.  Of too many, the first and the last in each of points / 2 equal steps of x + y: both rise,
    so each step's piece stays in a box, and the area changes by at most 1 / points in all.

    Returns:
        None if there are not samples of both kinds.
    """
    if not (ranking.positives and ranking.negatives):
        return None
    false, true, thresholds = corners(ranking)
    x, y = false / ranking.negatives, true / ranking.positives
    if x.size > points:
        ends = ends_of_runs(steps_of((x + y) / 2, points // 2))
        x, y, thresholds = x[ends], y[ends], thresholds[ends]
    return Curve(x, y, thresholds)


def corners(ranking: Ranking) -> tuple[Counts, Counts, Floats]:
    """Where the ROC curve bends: false positives, true positives and the threshold; NaN where no positive is gained.

    At each threshold the curve comes from the left, by the negative samples that score higher, and goes on upwards.
    """
    before = ranking.true_positives - ranking.gained
    false = np.concatenate([[0], woven(ranking.false_above, ranking.false_positives), [ranking.negatives]])
    true = np.concatenate([[0], woven(before, ranking.true_positives), [ranking.positives]])
    scores = ranking.thresholds.astype(np.float64)
    thresholds = np.concatenate([[np.nan], woven(np.full_like(scores, np.nan), scores), [np.nan]])
    moves = np.flatnonzero((np.diff(false, prepend=-1) != 0) | (np.diff(true, prepend=-1) != 0))
    false, true, thresholds = false[moves], true[moves], thresholds[moves]
    right, up = np.diff(false), np.diff(true)
    bends = np.concatenate([[True], right[:-1] * up[1:] != right[1:] * up[:-1], [True]])
    return false[bends], true[bends], thresholds[bends]


def woven(first: NDArray[Number], second: NDArray[Number]) -> NDArray[Number]:
    """Two arrays of one length as one, taking turns."""
    return np.stack([first, second], axis=1).ravel()


def precision_recall_curve(ranking: Ranking, points: int = POINTS) -> Curve | None:
    """The precision (y) over the recall (x), a step function: each precision holds from the recall before it.

    The area is the average precision, whatever is left out: of a curve with too many points, each step of 1 / points of
    recall keeps its last point and gets its mean precision.

    Returns:
        None if no sample is positive.
    """
    if not ranking.positives:
        return None
    recall = ranking.true_positives / ranking.positives
    precision = ranking.true_positives / (ranking.true_positives + ranking.false_positives)
    thresholds = ranking.thresholds.astype(np.float64)
    if recall.size > points:
        starts = np.flatnonzero(np.diff(steps_of(recall, points), prepend=-1))
        weights = ranking.gained
        precision = np.add.reduceat(weights * precision, starts) / np.add.reduceat(weights, starts)
        lasts = np.append(starts[1:], recall.size) - 1
        recall, thresholds = recall[lasts], thresholds[lasts]
    return Curve(recall, precision, thresholds)


def steps_of(progress: Floats, steps: int) -> NDArray[np.int64]:
    """In which of so many equal steps from 0 to 1 each value is."""
    return np.minimum((progress * steps).astype(np.int64), steps - 1)


def ends_of_runs(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions of the first and the last of each run of equal values."""
    changes = np.diff(steps) != 0
    return np.flatnonzero(np.concatenate([[True], changes]) | np.concatenate([changes, [True]]))
