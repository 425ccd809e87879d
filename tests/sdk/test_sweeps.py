"""Sweeps: points, variants, bounded parallelism, the table."""

import threading
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.api.status import Results
from dltrain.errors import JobFailedError, SpecError
from dltrain.sweeps import SweepResult, Trial, Uniform, grid, random, sweep, variants
from tests.sdk.builders import PIPELINE, job

LR = "spec.pipeline.train.optimizer.lr"
BATCH = "spec.pipeline.train.globalBatchSize"


def test_a_grid_is_every_combination() -> None:
    assert grid({LR: [0.1, 0.2], BATCH: [32, 64]}) == [
        {LR: 0.1, BATCH: 32},
        {LR: 0.1, BATCH: 64},
        {LR: 0.2, BATCH: 32},
        {LR: 0.2, BATCH: 64},
    ]


def test_random_points_are_of_their_ranges_and_repeat_with_the_seed() -> None:
    ranges: dict[str, Any] = {LR: Uniform(1e-4, 1e-1, log=True), BATCH: [32, 64]}
    points = random(ranges, 200, seed=3)
    assert points == random(ranges, 200, seed=3)
    assert points != random(ranges, 200, seed=4)
    assert all(1e-4 <= point[LR] <= 1e-1 for point in points)
    assert 60 < sum(point[LR] < 10**-2.5 for point in points) < 140, "as often below the middle power as above"
    assert {point[BATCH] for point in points} == {32, 64}


def test_variants_are_valid_jobs_with_names_of_their_own() -> None:
    base = job({"pipeline": PIPELINE}, name="base")
    made = variants(base, grid({LR: [0.1, 0.2]}))
    assert [each.name for each in made] == ["base-0", "base-1"]
    assert [each.spec.pipeline.train.optimizer.lr for each in made] == [0.1, 0.2]  # type: ignore[union-attr]  # it is set


def test_what_is_wrong_with_any_variant_is_told_before_one_runs() -> None:
    base = job({"pipeline": PIPELINE})
    ran: list[DLTrainJob] = []
    with pytest.raises(SpecError) as caught:
        sweep(base, [{LR: "fast"}, {"spec.nothing": 1}], lambda each: ran.append(each) or Results())  # type: ignore[func-returns-value]  # which is why it goes on
    assert [problem.path for problem in caught.value.problems] == [LR, "spec.nothing"]
    assert ran == []


def test_the_best_comes_first_and_what_failed_last() -> None:
    accuracies = {"a-0": 0.5, "a-2": 0.9}

    def run(each: DLTrainJob) -> Results:
        if each.name not in accuracies:
            raise JobFailedError(each.name, "loss is not a number")
        return Results(metrics={"accuracy": accuracies[each.name]})

    found = sweep(job({"pipeline": PIPELINE}), grid({LR: [0.1, 0.2, 0.3]}), run)
    assert [trial.name for trial in found.trials] == ["a-2", "a-0", "a-1"]
    assert found.best.point == {LR: 0.3}
    assert str(found) == (
        "JOB   pipeline.train.optimizer.lr   accuracy\n"
        "a-2   0.3                           0.9000\n"
        "a-0   0.1                           0.5000\n"
        "a-1   0.2                           job a-1 failed: loss is not a number"
    )
    assert "<td>0.9000</td>" in found._repr_html_()


def test_the_lowest_may_be_the_best() -> None:
    run_of = {"a-0": 0.5, "a-1": 0.9}
    found = sweep(
        job({"pipeline": PIPELINE}),
        grid({LR: [0.1, 0.2]}),
        lambda each: Results(metrics={"loss": run_of[each.name]}),
        metric="loss",
        mode="min",
    )
    assert found.best.name == "a-0"


def test_small_and_large_metrics_are_told_apart() -> None:
    errors = {"a-0": 1.04e-5, "a-1": 31065363.2423}
    found = sweep(
        job({"pipeline": PIPELINE}),
        grid({LR: [0.1, 0.2]}),
        lambda each: Results(metrics={"mse": errors[each.name]}),
        metric="mse",
        mode="min",
    )
    assert [row[-1] for row in found.rows()] == ["mse", "1.04e-05", "3.107e+07"]


def test_a_metric_that_nobody_measured_is_an_error_of_the_best_only() -> None:
    found = SweepResult("auc", (Trial("a-0", {}, Results(metrics={"accuracy": 1.0})),))
    with pytest.raises(JobFailedError, match="no trial has measured auc, but accuracy"):
        found.best  # noqa: B018 - the access is what is tested


def test_no_more_run_at_a_time_than_asked_for() -> None:
    both, running, most = threading.Barrier(2), threading.Semaphore(2), []

    def run(each: DLTrainJob) -> Results:
        assert running.acquire(blocking=False), "a third one runs"
        most.append(both.wait(10))  # ends only if there are two at a time
        running.release()
        return Results()

    sweep(job({"pipeline": PIPELINE}), grid({LR: [0.1, 0.2, 0.3, 0.4]}), run, parallelism=2)
    assert len(most) == 4
