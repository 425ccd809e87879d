"""The evaluation part of a job: what it accepts, in Python and in CEL's words."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from dltrain.api.crd import model_schema
from dltrain.api.data import Task
from dltrain.api.evaluate import DEFAULTS, NOT_NUMBERS, Evaluate, MetricName, NumericMetric, metrics_for, wanted_metrics


def test_simple_names_stay_simple() -> None:
    evaluate = Evaluate.model_validate({"metrics": ["accuracy", "averagePrecision", "rocAuc"]})
    assert wanted_metrics(evaluate, "classification") == ("accuracy", "averagePrecision", "rocAuc")
    assert evaluate.to_dict() == {"metrics": ["accuracy", "averagePrecision", "rocAuc"]}


@pytest.mark.parametrize("task", get_args(Task))
def test_what_is_usual_for_a_task_can_be_measured_of_it(task: Task) -> None:
    assert wanted_metrics(Evaluate(), task) == DEFAULTS[task]
    assert set(DEFAULTS[task]) <= set(metrics_for(task)) - NOT_NUMBERS


def test_every_metric_is_for_some_task() -> None:
    assert {name for task in get_args(Task) for name in metrics_for(task)} == set(get_args(MetricName))


@pytest.mark.parametrize(
    ("fields", "k"),
    [
        pytest.param({"metrics": ["topK"]}, 5, id="default"),
        pytest.param({"metrics": ["topK"], "topK": 3}, 3, id="given"),
    ],
)
def test_k(fields: dict[str, Any], k: int) -> None:
    assert Evaluate.model_validate(fields).k == k


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"metrics": ["accuracy", "accuracy"]}, "must name each metric once", id="a metric twice"),
        pytest.param(
            {"metrics": ["accuracy"], "topK": 3}, "must be absent unless metrics has topK", id="k without topK"
        ),
        pytest.param({"topK": 3}, "must be absent unless metrics has topK", id="k without metrics"),
        pytest.param({"metrics": []}, "at least 1", id="no metric"),
        pytest.param({"metrics": ["auc"]}, "should be 'accuracy'", id="an unknown metric"),
        pytest.param({"metrics": ["topK"], "topK": 1}, "greater than or equal to 2", id="top 1 is accuracy"),
    ],
)
def test_broken_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Evaluate.model_validate(fields)


def test_what_was_found_is_named() -> None:
    with pytest.raises(ValidationError) as error:
        Evaluate.model_validate({"metrics": ["f1", "f1"]})
    assert [problem["ctx"]["found"] for problem in error.value.errors()] == ['["f1", "f1"]']


def test_every_metric_but_the_matrix_is_a_number() -> None:
    assert {*get_args(NumericMetric)} == {*get_args(MetricName)} - NOT_NUMBERS


def test_the_schema_is_structural_and_has_the_rules() -> None:
    schema = model_schema(Evaluate)
    assert schema["properties"]["metrics"]["items"]["enum"] == list(get_args(MetricName))
    assert (schema["properties"]["metrics"]["minItems"], schema["properties"]["metrics"]["maxItems"]) == (1, 12)
    assert [rule["fieldPath"] for rule in schema["x-kubernetes-validations"]] == [".metrics", ".topK"]
