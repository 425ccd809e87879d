"""Samples in the order of their scores, and the two areas that follow from it: average precision and ROC-AUC.

Both depend on nothing but how many positive and how many negative samples have each score, and change only where a
positive sample is gained.  So the scores of the two kinds are sorted apart, as values and not as indices, by each rank
for its own samples; sorted runs are merged, and the negative samples counted at each distinct score of a positive one.
Counts are whole numbers: the order of the samples, ties and shares do not matter.

With a million scores most of the time goes into new memory, hence the operations in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]
"""Scores of one class, (N,): float32 or float64."""
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """How many samples are called positive at each threshold; those that gain no positive sample are left out."""

    thresholds: Scores
    """The distinct scores of positive samples, (T,), descending; a sample that scores so much is called positive."""
    gained: Counts
    """Positive samples with exactly that score, (T,)."""
    true_positives: Counts
    """Positive samples among those called positive, (T,)."""
    false_positives: Counts
    """Negative samples among those called positive, (T,)."""
    false_above: Counts
    """Negative samples that score higher than the threshold, (T,); the others among them are ties."""
    positives: int
    """How many samples are positive."""
    negatives: int
    """How many samples are negative."""


def rank_scores(scores: Scores, positive: NDArray[np.bool_]) -> Ranking:
    """Rank samples.

    Args:
        scores: (N,); higher is more positive.
        positive: (N,), whether each sample is positive.

    Raises:
        ValueError: a score is not a number.
    """
    return merge(*([run] for run in sorted_kinds(scores, positive)))


def sorted_kinds(scores: Scores, positive: NDArray[np.bool_]) -> tuple[Scores, Scores]:
    """The scores of positive and of negative samples, ascending.

    Raises:
        ValueError: a score is not a number.
    """
    kinds = np.compress(positive, scores), np.compress(~positive, scores)
    for kind in kinds:
        kind.sort()
        if kind.size and np.isnan(kind[-1]):  # numpy sorts them to the end
            raise ValueError(f"{np.isnan(kind).sum()} of {kind.size} scores are not numbers")
    return kinds


def merge(positive: Sequence[Scores], negative: Sequence[Scores]) -> Ranking:
    """The ranking of samples whose scores are in ascending runs, one or more of either kind."""
    found, others = merged(positive), merged(negative)
    distinct, starts = groups(found)
    below, up_to = places(others, distinct)
    false_positives = others.size - below
    return Ranking(
        thresholds=distinct[::-1],
        gained=sizes(starts, found.size)[::-1],
        true_positives=(found.size - starts)[::-1],
        false_positives=false_positives[::-1],
        false_above=(false_positives if up_to is below else others.size - up_to)[::-1],
        positives=found.size,
        negatives=others.size,
    )


def merged(runs: Sequence[Scores]) -> Scores:
    """Ascending runs as one; the stable sort is timsort, which merges runs."""
    return runs[0] if len(runs) == 1 else np.sort(np.concatenate(runs), kind="stable")


def groups(ordered: Scores) -> tuple[Scores, Counts]:
    """The distinct values of ascending numbers, and where each begins."""
    is_new = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    return ordered if is_new.all() else np.compress(is_new, ordered), np.flatnonzero(is_new)


def sizes(starts: Counts, end: int) -> Counts:
    """How many numbers each group holds that begins at one of the places."""
    result = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=result[:-1])
    result[-1:] = end - starts[-1:]
    return result


def places(ordered: Scores, values: Scores) -> tuple[Counts, Counts]:
    """How many of some ascending numbers are below each value, and how many are not above it.

    Without ties both are the same array.
    """
    order = np.argsort(np.concatenate([values, ordered]), kind="stable")  # merges, faster than a search for each
    below = np.flatnonzero(order < values.size)
    below -= np.arange(values.size)
    if not ordered.size:
        return below, below
    tied = np.flatnonzero(ordered.take(below, mode="clip") == values)
    if not tied.size:
        return below, below
    up_to = below.copy()
    up_to[tied] = np.searchsorted(ordered, values[tied], side="right")
    return below, up_to


def average_precision(ranking: Ranking) -> float | None:
    """The mean of the precisions at each positive sample, as scikit-learn's average_precision_score.

    No interpolation: the sum over thresholds of (recall gained) x (precision there).

    Returns:
        None if no sample is positive.
    """
    if not ranking.positives:
        return None
    weighted = np.add(ranking.true_positives, ranking.false_positives, dtype=np.float64)
    np.divide(ranking.true_positives, weighted, out=weighted)
    weighted *= ranking.gained
    return float(weighted.sum()) / ranking.positives


def roc_auc(ranking: Ranking) -> float | None:
    """The chance that a positive sample scores higher than a negative one, equal scores counting half.

    The area under the ROC curve is this (Hanley and McNeil 1982); as a count of pairs it is a ratio of whole numbers.

    Returns:
        None if there are not samples of both kinds.
    """
    pairs = ranking.positives * ranking.negatives
    if not pairs:
        return None
    assert pairs < 2**62, f"{pairs} pairs are too many for 64-bit counts"
    not_won = int((ranking.gained * (ranking.false_positives + ranking.false_above)).sum())  # halves of pairs
    return (2 * pairs - not_won) / (2 * pairs)
