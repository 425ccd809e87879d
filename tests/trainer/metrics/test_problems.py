"""What cannot be measured is found before the training, with path, rule, value and remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dltrain.api.data import Task
from dltrain.api.evaluate import Evaluate, metrics_for
from dltrain_trainer.evaluation.problems import evaluation_problems

METRICS = "spec.pipeline.evaluate.metrics"
ONE_KIND = f"{METRICS}: rocAuc needs positive and negative samples in the test split (got one kind); use another split"
NOT_FIT = f"{METRICS}: mse is not a metric of classification; choose from {', '.join(metrics_for('classification'))}"


@pytest.mark.parametrize(
    ("evaluate", "task", "outputs", "targets", "expected"),
    [
        pytest.param({}, "classification", 3, [0, 1, 2], [], id="nothing asked for"),
        pytest.param(
            {"metrics": ["rocAuc", "averagePrecision"]}, "classification", 3, [0, 1], [], id="a class missing"
        ),
        pytest.param({}, "regression", 1, [[1.0], [2.0]], [], id="numbers"),
        pytest.param({}, "multilabel", 2, [[1.0, 0.0], [1.0, 1.0]], [], id="labels"),
        pytest.param(
            {"metrics": ["mse", "accuracy"]},
            "classification",
            2,
            [0, 1],
            [NOT_FIT],
            id="another task's metric",
        ),
        pytest.param(
            {"metrics": ["topK"]},
            "classification",
            5,
            [0, 1],
            ["spec.pipeline.evaluate.topK: must be less than the number of classes, 5 (got 5); lower it"],
            id="all classes are among the best",
        ),
        pytest.param(
            {"metrics": ["topK"], "topK": 3},
            "classification",
            3,
            [0, 1],
            ["spec.pipeline.evaluate.topK: must be less than the number of classes, 3 (got 3); lower it"],
            id="all of three classes are among the best",
        ),
        pytest.param({"metrics": ["topK"], "topK": 2}, "classification", 3, [0, 1], [], id="two of three classes"),
        pytest.param(
            {"metrics": ["topK"]},
            "classification",
            2,
            [0, 1],
            [f"{METRICS}: topK needs more than 2 classes (got 2); remove it"],
            id="two classes, and no k is low enough",
        ),
        pytest.param(
            {"metrics": ["confusionMatrix"]},
            "classification",
            1001,
            [0],
            [f"{METRICS}: confusionMatrix is for at most 1000 classes (got 1001); remove it"],
            id="a huge matrix",
        ),
        pytest.param(
            {"metrics": ["rocAuc", "averagePrecision"]},
            "classification",
            2,
            [0, 0],
            [
                ONE_KIND,
                f"{METRICS}: averagePrecision needs positive samples in the test split (got none); use another split",
            ],
            id="one class only, all problems at once",
        ),
        pytest.param(
            {"metrics": ["rocAuc"]},
            "classification",
            3,
            [2, 2],
            [
                ONE_KIND,
            ],
            id="one of three classes only",
        ),
        pytest.param(
            {},
            "multilabel",
            2,
            [[0.0, 0.0]],
            [
                f"{METRICS}: averagePrecision needs positive samples in the test split (got none); use another split",
                ONE_KIND,
            ],
            id="no label ever holds",
        ),
        pytest.param(
            {"metrics": ["r2"]},
            "regression",
            1,
            [[1.0]],
            [f"{METRICS}: r2 needs two samples in the test split (got 1); add samples, or remove it"],
            id="one number",
        ),
        pytest.param(
            {},
            "classification",
            2,
            [],
            ["spec.pipeline.evaluate: needs a test split with samples (got none); give one, or split one off"],
            id="no test split",
        ),
    ],
)
def test_problems(evaluate: dict[str, Any], task: Task, outputs: int, targets: list[Any], expected: list[str]) -> None:
    array = np.array(targets, int if task == "classification" else float)
    assert evaluation_problems(Evaluate.model_validate(evaluate), task, outputs, array) == tuple(expected)
