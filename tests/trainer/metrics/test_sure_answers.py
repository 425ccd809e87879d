"""Models that are sure: what float64 has no probabilities for is ranked as scikit-learn ranks their logits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, logsumexp
from sklearn import metrics as reference
from torch import nn

from dltrain.api.data import Task
from dltrain.api.evaluate import Evaluate
from dltrain_trainer.evaluation.families import Measured
from dltrain_trainer.evaluation.measure import artefacts, measure
from dltrain_trainer.evaluation.predict import predict
from tests.trainer.group import on_ranks

SAMPLES = 900
"""More than three batches: three ranks have some."""
RANKING = {"averagePrecision": reference.average_precision_score, "rocAuc": reference.roc_auc_score}
SCALES = pytest.mark.parametrize("scale", [50, 1000])
RANKS = pytest.mark.parametrize("size", [1, 2, 3])
TASKS = pytest.mark.parametrize(
    ("task", "outputs"),
    [
        pytest.param("classification", 2, id="two classes"),
        pytest.param("classification", 5, id="classes"),
        pytest.param("multilabel", 3, id="labels"),
    ],
)


class Given(nn.Module):
    """Says what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.empty(0))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


def sure(task: Task, outputs: int, scale: float, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a sure model of some skill, of which some samples may be the same, and what is right."""
    generator = np.random.default_rng(0)
    if task == "classification":
        targets = generator.integers(0, outputs, SAMPLES)
        there = np.eye(outputs)[targets]
    else:
        targets = there = (generator.random((SAMPLES, outputs)) < 0.4).astype(np.float32)
    logits = scale * (generator.normal(size=there.shape) + there)
    if ties:
        logits = logits[generator.integers(0, SAMPLES // 4, SAMPLES)]
    return logits.astype(np.float32), targets


def measured(task: Task, logits: np.ndarray, targets: np.ndarray, size: int, **settings: Any) -> Measured:
    """What every one of some ranks measures."""
    found = on_ranks(
        size,
        lambda rank: measure(
            predict(
                Given(),
                torch.from_numpy(logits),
                torch.from_numpy(targets),
                lambda batch: batch,
                task=task,
                outputs=logits.shape[1],
                ranks=rank,
            ),
            Evaluate.model_validate(settings),
            rank,
        ),
    )
    assert found == [found[0]] * size
    return found[0]


def ranked(task: Task, logits: np.ndarray, targets: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Each class or label that is set against the rest: whether each sample is of it, and its decision function."""
    exact, width = logits.astype(np.float64), logits.shape[1]
    if task == "multilabel":
        return {label: (targets[:, label], exact[:, label]) for label in range(width)}
    return {
        output: (targets == output, exact[:, output] - logsumexp(np.delete(exact, output, 1), axis=1))
        for output in range(width == 2, width)
    }


@RANKS
@TASKS
@SCALES
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_ranking_metrics_are_scikit_learns_of_the_logits(
    task: Task, outputs: int, scale: float, size: int, ties: bool
) -> None:
    logits, targets = sure(task, outputs, scale, ties=ties)
    found = measured(task, logits, targets, size, metrics=list(RANKING))
    expected = {
        name: {output: function(*columns) for output, columns in ranked(task, logits, targets).items()}
        for name, function in RANKING.items()
    }
    per_output = {
        name: {output: value for output, value in enumerate(values) if value is not None}
        for name, values in found.per_output.items()
    }
    assert per_output == {name: pytest.approx(values, rel=0, abs=1e-12) for name, values in expected.items()}
    assert found.metrics == pytest.approx(
        {name: np.mean(list(values.values())) for name, values in expected.items()}, rel=0, abs=1e-12
    )


@RANKS
@SCALES
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_top_k_is_scikit_learns_of_the_logits(k: int, scale: float, size: int, ties: bool) -> None:
    logits, targets = sure("classification", 6, scale)
    if ties:
        logits = np.round(logits / scale) * np.float32(scale)
    found = measured("classification", logits, targets, size, metrics=["topK"], topK=k)
    assert found.metrics == {"topK": reference.top_k_accuracy_score(targets, logits, k=k)}


@RANKS
@TASKS
@SCALES
def test_curves_have_every_point_and_probabilities_for_thresholds(
    task: Task, outputs: int, scale: float, size: int
) -> None:
    logits, targets = sure(task, outputs, scale)
    written = json.loads(artefacts(measured(task, logits, targets, size, metrics=list(RANKING)))["curves.json"])
    columns = ranked(task, logits, targets)
    positive = {output: np.sort(scores[there > 0])[::-1] for output, (there, scores) in columns.items()}
    assert {curve["output"]: curve["threshold"] for curve in written["precisionRecall"]} == {
        output: pytest.approx(expit(scores), rel=1e-8) for output, scores in positive.items()
    }
    for curve in written["roc"]:
        thresholds = [threshold for threshold in curve["threshold"] if threshold is not None]
        assert thresholds == sorted(thresholds, reverse=True)
        assert (len(thresholds) > 1, min(thresholds) >= 0, max(thresholds) <= 1) == (True, True, True)


def test_an_impossible_and_a_certain_class_are_the_last_and_the_first() -> None:
    logits = np.array([[-np.inf, 0, 0], [1000, 0, 0], [0, -np.inf, -np.inf], [0, 1000, 0]], np.float32)
    found = measured("classification", logits, np.array([1, 0, 0, 2]), 2, metrics=["rocAuc", "averagePrecision"])
    assert found.per_output == {"rocAuc": [1.0, 2 / 3, 0.5], "averagePrecision": [1.0, 0.5, 1 / 3]}
    assert found.curves["precisionRecall"][0]["threshold"] == [1.0, 1.0]
