"""All metrics: each is what scikit-learn says, and the same to the bit for any number of ranks and any shares."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from dltrain.api.data import Task
from dltrain.api.evaluate import DEFAULTS, NOT_NUMBERS, Evaluate, metrics_for
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.evaluation.families import FAMILIES, Measured
from dltrain_trainer.evaluation.measure import artefacts, measure
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.problems import MetricError
from tests.trainer.group import ALONE, on_ranks
from tests.trainer.metrics.builders import of_classes, of_labels, of_numbers, of_task
from tests.trainer.metrics.shares import shuffled_shares, taken

TASKS: tuple[Task, ...] = ("classification", "multilabel", "regression")
EVERY = [(task, name) for task in TASKS for name in metrics_for(task)]
CASES = [
    pytest.param(of_classes(), id="classes"),
    pytest.param(of_classes(ties=True), id="ties"),
    pytest.param(of_classes(classes=2), id="two classes"),
    pytest.param(of_classes(60, 9, missing=(4,)), id="a class without samples"),
    pytest.param(of_labels(), id="labels"),
    pytest.param(of_numbers(), id="numbers"),
]


def asking_for(*names: str) -> Evaluate:
    return Evaluate.model_validate({"metrics": names})


def all_of(predictions: Predictions) -> Evaluate:
    """Every metric of a task; with two classes the right one is always among the two most likely."""
    return asking_for(*metrics_for(predictions.task))


@pytest.mark.parametrize("predictions", CASES)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_every_rank_measures_the_same_to_the_bit_as_one_alone(predictions: Predictions, size: int) -> None:
    alone = measure(predictions, all_of(predictions), ALONE)
    shares = shuffled_shares(predictions, size, seed=size)
    found = on_ranks(size, lambda rank: measure(shares[rank.rank], all_of(predictions), rank))
    assert found == [alone] * size
    assert artefacts(found[-1]) == artefacts(alone)


@pytest.mark.parametrize("task", TASKS)
def test_ranks_without_samples_take_part(task: Task) -> None:
    predictions = of_task(task, 40)
    shares = [taken(predictions, np.arange(start, stop)) for start, stop in ((0, 0), (0, 1), (1, 40), (40, 40))]
    found = on_ranks(4, lambda rank: measure(shares[rank.rank], all_of(predictions), rank))
    assert found == [measure(predictions, all_of(predictions), ALONE)] * 4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(TASKS), st.integers(20, 60), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_shares_of_any_size_measure_the_same(task: Task, samples: int, size: int, seed: int) -> None:
    predictions = of_task(task, samples)
    shares = shuffled_shares(predictions, size, seed)
    found = on_ranks(size, lambda rank: measure(shares[rank.rank], all_of(predictions), rank))
    assert found == [measure(predictions, all_of(predictions), ALONE)] * size


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_metric_can_be_asked_for_alone(task: Task, name: str) -> None:
    found = measure(of_task(task), asking_for(name), ALONE)
    assert set(found.metrics) == {name} - NOT_NUMBERS
    together = measure(of_task(task), all_of(of_task(task)), ALONE)
    assert found.metrics.items() <= together.metrics.items()


def test_every_metric_has_a_family_and_a_task() -> None:
    assert set(FAMILIES) == {name for _, name in EVERY}


@pytest.mark.parametrize("task", TASKS)
def test_a_job_that_asks_for_nothing_gets_what_is_usual(task: Task) -> None:
    assert tuple(measure(of_task(task), Evaluate(), ALONE).metrics) == DEFAULTS[task]


@pytest.mark.parametrize(
    "predictions",
    [
        pytest.param(of_classes(), id="classes"),
        pytest.param(of_classes(ties=True), id="ties"),
        pytest.param(of_classes(2000, 10), id="ten classes"),
    ],
)
def test_metrics_of_several_classes_are_scikit_learns_macro_averages(predictions: Predictions) -> None:
    found = measure(predictions, all_of(predictions), ALONE).metrics
    targets, outputs, said = predictions.targets, predictions.outputs, predictions.outputs.argmax(1)
    one_hot = np.eye(predictions.width)[targets]
    del found["calibrationError"]  # scikit-learn has none: test_calibration.py
    assert found == pytest.approx(
        {
            "accuracy": reference.accuracy_score(targets, said),
            "topK": reference.top_k_accuracy_score(targets, outputs, k=5, labels=np.arange(predictions.width))
            if predictions.width > 5
            else 1.0,
            "precision": reference.precision_score(targets, said, average="macro", zero_division=0),
            "recall": reference.recall_score(targets, said, average="macro", zero_division=0),
            "f1": reference.f1_score(targets, said, average="macro", zero_division=0),
            "averagePrecision": reference.average_precision_score(targets, outputs, average="macro"),
            "rocAuc": reference.roc_auc_score(one_hot, outputs, average="macro"),
        },
        rel=0,
        abs=1e-12,
    )


def test_roc_auc_of_several_classes_is_scikit_learns_one_against_the_rest() -> None:
    predictions = of_classes()
    expected = reference.roc_auc_score(predictions.targets, predictions.outputs, multi_class="ovr")
    found = measure(predictions, asking_for("rocAuc"), ALONE).metrics["rocAuc"]
    assert found == pytest.approx(expected, rel=0, abs=1e-12)


def test_metrics_of_two_classes_are_those_of_class_1() -> None:
    predictions = of_classes(classes=2)
    targets, said, scores = predictions.targets, predictions.outputs.argmax(1), predictions.outputs[:, 1]
    found = measure(predictions, asking_for("precision", "recall", "f1", "averagePrecision", "rocAuc"), ALONE)
    assert found.metrics == pytest.approx(
        {
            "precision": reference.precision_score(targets, said),
            "recall": reference.recall_score(targets, said),
            "f1": reference.f1_score(targets, said),
            "averagePrecision": reference.average_precision_score(targets, scores),
            "rocAuc": reference.roc_auc_score(targets, scores),
        },
        rel=0,
        abs=1e-12,
    )
    assert found.details["average"] == "class 1"
    assert [curve["output"] for curve in found.curves["roc"]] == [1]


def test_metrics_of_labels_are_scikit_learns_macro_averages() -> None:
    predictions = of_labels()
    targets, said, scores = predictions.targets, predictions.outputs > 0.5, predictions.outputs
    assert measure(predictions, all_of(predictions), ALONE).metrics == pytest.approx(
        {
            "accuracy": reference.accuracy_score(targets, said),
            "precision": reference.precision_score(targets, said, average="macro"),
            "recall": reference.recall_score(targets, said, average="macro"),
            "f1": reference.f1_score(targets, said, average="macro"),
            "averagePrecision": reference.average_precision_score(targets, scores),
            "rocAuc": reference.roc_auc_score(targets, scores),
        },
        rel=0,
        abs=1e-12,
    )


def test_metrics_of_numbers_are_means_over_the_columns() -> None:
    predictions = of_numbers()
    found = measure(predictions, all_of(predictions), ALONE)
    assert found.metrics == pytest.approx(
        {
            "mse": reference.mean_squared_error(predictions.targets, predictions.outputs),
            "mae": reference.mean_absolute_error(predictions.targets, predictions.outputs),
            "r2": reference.r2_score(predictions.targets, predictions.outputs),
        },
        rel=1e-12,
    )
    assert {name: len(columns) for name, columns in found.per_output.items()} == {"mse": 3, "mae": 3, "r2": 3}


def test_a_class_without_samples_has_no_value_and_does_not_count() -> None:
    predictions = of_classes(200, 4, missing=(2,))
    found = measure(predictions, asking_for("averagePrecision", "rocAuc"), ALONE)
    there = [0, 1, 3]
    one_hot = np.eye(4)[predictions.targets]
    for name, function in (
        ("averagePrecision", reference.average_precision_score),
        ("rocAuc", reference.roc_auc_score),
    ):
        assert found.per_output[name][2] is None
        expected = function(one_hot[:, there], predictions.outputs[:, there])
        assert found.metrics[name] == pytest.approx(expected, rel=0, abs=1e-12)
    assert [curve["output"] for curve in found.curves["precisionRecall"]] == there


def test_a_class_that_neither_occurs_nor_is_said_does_not_count() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [1.0, 2.0, 0.0], [2.0, 1.0, 0.0]])
    predictions = Predictions("classification", logits, np.array([0, 1, 1]))
    found = measure(predictions, asking_for("recall"), ALONE)
    assert (found.metrics, found.per_output) == ({"recall": 0.75}, {"support": [1, 2, 0], "recall": [1.0, 0.5, None]})


def test_k_decides_what_top_k_counts() -> None:
    predictions = of_classes(500, 10)
    by_k = [
        measure(predictions, Evaluate.model_validate({"metrics": ["topK"], "topK": k}), ALONE).metrics["topK"]
        for k in (2, 3, 9)
    ]
    assert by_k == sorted(by_k)
    assert by_k[0] < by_k[-1]


@pytest.mark.parametrize(
    ("predictions", "name", "message"),
    [
        pytest.param(of_classes(10, 2, missing=(1,)), "rocAuc", "rocAuc has no value", id="one class only"),
        pytest.param(of_classes(10, 2, missing=(1,)), "averagePrecision", "no value", id="nothing to find"),
        pytest.param(taken(of_classes(), np.arange(0)), "accuracy", "needs a test split", id="no samples"),
    ],
)
def test_what_cannot_be_measured_is_an_error_on_every_rank(predictions: Predictions, name: str, message: str) -> None:
    shares = shuffled_shares(predictions, 2, seed=0)

    def refused(rank: Communicator) -> bool:
        with pytest.raises(MetricError, match=message):
            measure(shares[rank.rank], asking_for(name), rank)
        return True

    assert on_ranks(2, refused) == [True, True]


def test_the_artefacts_hold_everything() -> None:
    predictions = of_classes(classes=3)
    measured = measure(predictions, all_of(predictions), ALONE)
    files = {name: json.loads(content) for name, content in artefacts(measured).items()}
    evaluation = files["evaluation.json"]
    assert list(files) == ["evaluation.json", "curves.json"]
    assert evaluation["metrics"] == measured.metrics
    assert {name: evaluation[name] for name in ("task", "samples", "outputs", "average", "k")} == {
        "task": "classification",
        "samples": 300,
        "outputs": 3,
        "average": "mean",
        "k": 5,
    }
    assert np.sum(evaluation["confusionMatrix"]) == sum(evaluation["perOutput"]["support"]) == 300
    assert set(evaluation["perOutput"]) == {"support", "precision", "recall", "f1", "averagePrecision", "rocAuc"}
    assert {name: [curve["output"] for curve in curves] for name, curves in files["curves.json"].items()} == {
        "precisionRecall": [0, 1, 2],
        "roc": [0, 1, 2],
    }


def test_without_ranking_metrics_there_is_no_file_of_curves() -> None:
    assert list(artefacts(measure(of_classes(), asking_for("accuracy"), ALONE))) == ["evaluation.json"]


def test_nothing_measured_adds_nothing() -> None:
    measured = measure(of_classes(), asking_for("accuracy"), ALONE)
    assert Measured() | measured == measured
