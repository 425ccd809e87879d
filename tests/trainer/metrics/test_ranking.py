"""Average precision and ROC-AUC, held against scikit-learn."""

from __future__ import annotations

from dataclasses import astuple
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, roc_auc_score

from dltrain_trainer.evaluation.ranking import Ranking, average_precision, merge, rank_scores, roc_auc, sorted_kinds

FEW = st.sampled_from([-1.5, -0.0, 0.0, 0.25, 1.0, 1e30])
"""So few values that ties are the rule."""
MANY = st.floats(width=32, allow_nan=False, allow_infinity=False)
SAMPLES = st.lists(st.tuples(FEW | MANY, st.booleans()), max_size=60)
TYPES = st.sampled_from([np.float32, np.float64])
QUICK = settings(max_examples=60, deadline=None)


def columns(samples: list[tuple[float, bool]], kind: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and whether each sample is positive."""
    return np.array([score for score, _ in samples], kind), np.array([positive for _, positive in samples], bool)


def equal(first: Ranking, second: Ranking) -> bool:
    """Whether two rankings are the same to the bit."""
    return all(np.array_equal(mine, other) for mine, other in zip(astuple(first), astuple(second), strict=True))


@QUICK
@given(SAMPLES.filter(lambda samples: any(positive for _, positive in samples)), TYPES)
def test_average_precision_is_scikit_learns(samples: list[tuple[float, bool]], kind: type) -> None:
    scores, positive = columns(samples, kind)
    found = average_precision(rank_scores(scores, positive))
    assert found == pytest.approx(average_precision_score(positive, scores), rel=0, abs=1e-12)


@QUICK
@given(SAMPLES.filter(lambda samples: len({positive for _, positive in samples}) == 2), TYPES)
def test_roc_auc_is_scikit_learns(samples: list[tuple[float, bool]], kind: type) -> None:
    scores, positive = columns(samples, kind)
    assert roc_auc(rank_scores(scores, positive)) == pytest.approx(roc_auc_score(positive, scores), rel=0, abs=1e-12)


@QUICK
@given(SAMPLES)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(samples: list[tuple[float, bool]]) -> None:
    scores, positive = columns(samples)
    pairs = [(high > low) + (high == low) / 2 for high in scores[positive] for low in scores[~positive]]
    assert roc_auc(rank_scores(scores, positive)) == (sum(pairs) / len(pairs) if pairs else None)


@QUICK
@given(SAMPLES, st.integers(1, 5), st.randoms())
def test_order_and_shares_do_not_matter(samples: list[tuple[float, bool]], shares: int, random: Random) -> None:
    shuffled = random.sample(samples, len(samples))
    kinds = [sorted_kinds(*columns(shuffled[share::shares])) for share in range(shares)]
    ranking = merge([positive for positive, _ in kinds], [negative for _, negative in kinds])
    assert equal(ranking, rank_scores(*columns(samples)))


@QUICK
@given(SAMPLES)
def test_a_ranking_counts_what_scores_at_least_each_threshold(samples: list[tuple[float, bool]]) -> None:
    scores, positive = columns(samples)
    ranking = rank_scores(scores, positive)
    called = scores[None] >= ranking.thresholds[:, None]
    assert ranking.thresholds.tolist() == sorted(set(scores[positive].tolist()), reverse=True)
    assert ranking.true_positives.tolist() == (called & positive).sum(1).tolist()
    assert ranking.false_positives.tolist() == (called & ~positive).sum(1).tolist()
    assert ranking.false_above.tolist() == ((scores[None] > ranking.thresholds[:, None]) & ~positive).sum(1).tolist()
    assert (ranking.positives, ranking.negatives) == (positive.sum(), (~positive).sum())


def test_many_scores_are_measured_as_by_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(200_000) < 0.3
    scores = (generator.normal(size=positive.size) + positive).astype(np.float32)
    ranking = rank_scores(scores, positive)
    assert average_precision(ranking) == pytest.approx(average_precision_score(positive, scores), rel=0, abs=1e-12)
    assert roc_auc(ranking) == pytest.approx(roc_auc_score(positive, scores), rel=0, abs=1e-12)


def test_scores_that_are_all_equal_tell_nothing() -> None:
    ranking = rank_scores(np.full(8, 0.5), np.arange(8) < 2)
    assert (average_precision(ranking), roc_auc(ranking)) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("positive", "precision"),
    [
        pytest.param([True, True], 1.0, id="positive only"),
        pytest.param([False, False], None, id="negative only"),
        pytest.param([], None, id="no samples"),
    ],
)
def test_samples_of_one_kind_have_no_auc(positive: list[bool], precision: float | None) -> None:
    ranking = rank_scores(np.arange(len(positive), dtype=float), np.array(positive, bool))
    assert (average_precision(ranking), roc_auc(ranking)) == (precision, None)


def test_scikit_learn_calls_them_undefined_too() -> None:
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(roc_auc_score([1, 1], [0.1, 0.2]))
    with pytest.warns(UserWarning, match="No positive"):
        average_precision_score([0, 0], [0.1, 0.2])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("positive", [True, False])
def test_a_score_that_is_no_number_is_an_error(kind: type[np.floating[Any]], positive: bool) -> None:
    scores = np.array([0.1, np.nan, 0.3], kind)
    with pytest.raises(ValueError, match="1 of 2 scores are not numbers"):
        rank_scores(scores, np.array([positive, positive, not positive]))


def test_infinite_scores_are_the_highest_and_the_lowest() -> None:
    ranking = rank_scores(np.array([np.inf, -np.inf, 0.0]), np.array([True, False, False]))
    assert (average_precision(ranking), roc_auc(ranking)) == (1.0, 1.0)
