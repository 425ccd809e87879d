"""Log-odds: exact, whatever the logits, and of each sample by itself."""

from __future__ import annotations

from decimal import Decimal, localcontext
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dltrain_trainer.evaluation.log_odds import class_scorer, probability, scorer
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.separation import separations
from tests.trainer.group import ALONE

LOGITS = st.floats(-1000, 1000, width=32) | st.sampled_from([-50.0, 0.0, 50.0])
ROWS = arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(3, 12)), elements=LOGITS)
QUICK = settings(max_examples=60, deadline=None)
INF = np.inf


def all_scores(logits: np.ndarray) -> np.ndarray:
    """The log-odds of every class, (N, K)."""
    scores = class_scorer(logits)
    return np.stack([scores(output) for output in range(logits.shape[1])], axis=1)


def exact(row: list[float], output: int) -> float:
    """The log-odds of a class, rounded once."""
    with localcontext(prec=60):
        others = sum(Decimal(logit).exp() for other, logit in enumerate(row) if other != output)
        return float(Decimal(row[output]) - Decimal(others).ln())


@QUICK
@given(ROWS)
def test_log_odds_of_classes_are_exact(logits: np.ndarray) -> None:
    expected = [[exact(row, output) for output in range(len(row))] for row in logits.tolist()]
    np.testing.assert_allclose(all_scores(logits), expected, rtol=1e-14, atol=1e-14)


@QUICK
@given(ROWS, st.randoms())
def test_other_samples_do_not_matter(logits: np.ndarray, random: Random) -> None:
    order = random.sample(range(len(logits)), len(logits))
    together = all_scores(logits)
    np.testing.assert_array_equal(all_scores(logits[order]), together[order])
    np.testing.assert_array_equal(np.concatenate([all_scores(row[None]) for row in logits]), together)


def test_many_samples_are_each_scored_by_itself() -> None:
    logits = np.random.default_rng(0).normal(0, 100, (1000, 37))
    alone = np.concatenate([all_scores(logits[start : start + 7]) for start in range(0, 1000, 7)])
    np.testing.assert_array_equal(alone, all_scores(logits))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param([0.0, -INF, -INF], [INF, -INF, -INF], id="one class is possible"),
        pytest.param([-INF, 3.0, 1.0], [-INF, 2.0, -2.0], id="two are"),
        pytest.param([1000.0, 0.0, -INF], [1000.0, -1000.0, -INF], id="one of two is sure"),
    ],
)
def test_impossible_classes_take_nothing_from_the_others(row: list[float], expected: list[float]) -> None:
    assert all_scores(np.array([row])).tolist() == [pytest.approx(expected, rel=1e-15)]


def test_of_no_samples_there_are_no_scores() -> None:
    assert all_scores(np.empty((0, 3))).shape == (0, 3)


def test_of_a_sample_that_is_not_a_number_no_score_is() -> None:
    assert np.isnan(all_scores(np.array([[0.0, np.nan, 1.0], [0.0, 1.0, 2.0]]))).tolist() == [[True] * 3, [False] * 3]


@pytest.mark.parametrize("outputs", [2, 3])
def test_what_is_not_a_number_is_not_ranked(outputs: int) -> None:
    predictions = Predictions("classification", np.full((4, outputs), np.nan), np.arange(4) % outputs)
    with pytest.raises(ValueError, match="scores are not numbers"):
        separations(predictions, ALONE)


def test_two_classes_have_the_difference_of_their_logits() -> None:
    of_two = scorer(Predictions("classification", np.array([[-1000.0, 1000.0], [3.0, 1.0]]), np.array([0, 1])))
    assert (of_two(0).tolist(), of_two(1).tolist()) == ([-2000, 2], [2000, -2])


def test_labels_have_their_logits() -> None:
    of_labels = scorer(Predictions("multilabel", np.array([[-1000.0, 1000.0], [3.0, 1.0]]), np.ones((2, 2))))
    assert (of_labels(0).tolist(), of_labels(1).tolist()) == ([-1000, 3], [1000, 1])


def test_probabilities_are_those_of_the_log_odds() -> None:
    log_odds = np.array([-INF, -1000, -700, 0, np.log(3), 37, 1000, INF, np.nan])
    expected = [0, 0, np.exp(-700), 0.5, 0.75, 1, 1, 1, np.nan]
    np.testing.assert_allclose(probability(log_odds), expected, rtol=1e-15, atol=0)
