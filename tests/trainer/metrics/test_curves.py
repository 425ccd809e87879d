"""Curves: their areas are the metrics, however few points are kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve as reference_roc

from dltrain_trainer.evaluation.curves import POINTS, Curve, precision_recall_curve, roc_curve
from dltrain_trainer.evaluation.ranking import Ranking, average_precision, rank_scores, roc_auc

SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-9, 9)
SAMPLES = st.lists(st.tuples(SCORES, st.booleans()), max_size=60).filter(
    lambda samples: len({positive for _, positive in samples}) == 2
)
SHAPES = ["separable", "noisy", "reversed", "ties", "rare", "blocks"]
QUICK = settings(max_examples=40, deadline=None)


def ranked(samples: list[tuple[float, bool]]) -> Ranking:
    return rank_scores(np.array([score for score, _ in samples]), np.array([positive for _, positive in samples]))


def large(shape: str, samples: int = 50_000) -> Ranking:
    """Many samples, whose curves have thousands of corners."""
    generator = np.random.default_rng(0)
    positive = generator.random(samples) < (0.01 if shape == "rare" else 0.5)
    scores = generator.normal(size=samples) + positive * {"separable": 5, "reversed": -2}.get(shape, 0.5)
    if shape == "ties":
        scores = np.round(scores, 3)
    if shape == "blocks":  # precision falls and rises again and again
        scores, positive = np.arange(samples) * 1.0, np.arange(samples) // 700 % 2 == 0
    return rank_scores(scores, positive)


def area_below_lines(curve: Curve) -> float:
    return float(np.trapezoid(curve.y, curve.x))


def area_of_steps(curve: Curve) -> float:
    return float((np.diff(curve.x, prepend=0) * curve.y).sum())


@QUICK
@given(SAMPLES)
def test_the_area_below_the_roc_curve_is_the_auc(samples: list[tuple[float, bool]]) -> None:
    curve = roc_curve(ranked(samples))
    assert curve is not None
    assert area_below_lines(curve) == pytest.approx(roc_auc(ranked(samples)), rel=0, abs=1e-12)


@QUICK
@given(SAMPLES)
def test_the_roc_curve_goes_through_the_points_of_scikit_learns(samples: list[tuple[float, bool]]) -> None:
    curve = roc_curve(ranked(samples))
    assert curve is not None
    right, up, _ = reference_roc([positive for _, positive in samples], [score for score, _ in samples])
    mine = np.stack([curve.x, curve.y], 1)
    assert (mine[0].tolist(), mine[-1].tolist()) == ([0, 0], [1, 1])
    reference = np.stack([right, up], 1)
    assert all(np.isclose(reference, point, rtol=0, atol=1e-12).all(1).any() for point in corners_of(reference))
    assert all(distance_to(reference, point) < 1e-12 for point in mine)


def corners_of(points: np.ndarray) -> np.ndarray:
    """The points at which a line bends."""
    before, after = np.diff(points, axis=0)[:-1], np.diff(points, axis=0)[1:]
    return points[1:-1][np.abs(before[:, 0] * after[:, 1] - after[:, 0] * before[:, 1]) > 1e-12]


def distance_to(line: np.ndarray, point: np.ndarray) -> float:
    """How far a point is from a line of segments."""
    start, step = line[:-1], np.diff(line, axis=0)
    length = (step**2).sum(1)
    share = np.clip(((point - start) * step).sum(1) / np.where(length == 0, 1, length), 0, 1)
    return float(np.sqrt((((start + share[:, None] * step) - point) ** 2).sum(1)).min())


@QUICK
@given(SAMPLES)
def test_the_area_of_the_precision_recall_steps_is_the_average_precision(samples: list[tuple[float, bool]]) -> None:
    curve = precision_recall_curve(ranked(samples))
    assert curve is not None
    assert area_of_steps(curve) == pytest.approx(average_precision(ranked(samples)), rel=0, abs=1e-12)


@QUICK
@given(SAMPLES)
def test_calling_positive_what_reaches_a_threshold_leads_to_its_point(samples: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in samples])
    positive = np.array([is_positive for _, is_positive in samples])
    roc, precision_recall = roc_curve(ranked(samples)), precision_recall_curve(ranked(samples))
    assert roc is not None
    assert precision_recall is not None
    for x, y, threshold in zip(roc.x, roc.y, roc.thresholds, strict=True):
        if not np.isnan(threshold):
            assert (x, y) == ((scores[~positive] >= threshold).mean(), (scores[positive] >= threshold).mean())
    for x, y, threshold in zip(precision_recall.x, precision_recall.y, precision_recall.thresholds, strict=True):
        assert (x, y) == ((scores[positive] >= threshold).mean(), positive[scores >= threshold].mean())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_roc_curve_is_thinned_and_keeps_its_area(shape: str) -> None:
    curve = roc_curve(large(shape))
    assert curve is not None
    assert curve.x.size <= POINTS
    assert area_below_lines(curve) == pytest.approx(roc_auc(large(shape)), rel=0, abs=1e-3)
    assert (np.diff(curve.x) >= 0).all()
    assert (np.diff(curve.y) >= 0).all()


@pytest.mark.parametrize("points", [4, 10, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_few_points_change_the_roc_area_by_one_in_so_many(shape: str, points: int) -> None:
    curve = roc_curve(large(shape), points)
    assert curve is not None
    assert curve.x.size <= points
    assert area_below_lines(curve) == pytest.approx(roc_auc(large(shape)), rel=0, abs=1 / points)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_precision_recall_curve_is_thinned_and_keeps_its_area(shape: str) -> None:
    curve = precision_recall_curve(large(shape))
    assert curve is not None
    assert curve.x.size <= POINTS
    assert area_of_steps(curve) == pytest.approx(average_precision(large(shape)), rel=0, abs=1e-12)
    assert curve.x[-1] == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_has_the_same_area_to_a_thousandth(shape: str) -> None:
    written = {}
    for name, curve in {"roc": roc_curve(large(shape)), "steps": precision_recall_curve(large(shape))}.items():
        assert curve is not None
        read = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
        written[name] = Curve(np.array(read["x"]), np.array(read["y"]), np.array(read["threshold"], float))
    assert area_below_lines(written["roc"]) == pytest.approx(roc_auc(large(shape)), rel=0, abs=1e-3)
    assert area_of_steps(written["steps"]) == pytest.approx(average_precision(large(shape)), rel=0, abs=1e-3)


@pytest.mark.parametrize(
    ("positive", "has_steps"),
    [
        pytest.param([True, True], True, id="positive only"),
        pytest.param([False, False], False, id="negative only"),
        pytest.param([], False, id="no samples"),
    ],
)
def test_samples_of_one_kind_have_no_roc_curve(positive: list[bool], has_steps: bool) -> None:
    ranking = rank_scores(np.arange(len(positive), dtype=float), np.array(positive, bool))
    assert roc_curve(ranking) is None
    assert (precision_recall_curve(ranking) is not None) == has_steps
