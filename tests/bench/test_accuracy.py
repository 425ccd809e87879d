"""The baselines that examples are held against, and which examples are run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dltrain.overrides import load_job
from dltrain_trainer.data.samples import Split
from tests.bench import accuracy
from tests.bench.accuracy import EXAMPLES, Reached, chosen, ridge_r2, seasonal_errors
from tests.bench.failure import BenchFailure
from tests.e2e.live import EXAMPLES as FOLDER

EVERYTHING = {"accuracy": 0.5, "rocAuc": 0.5, "r2": 0.5, "mae": 30.0, "mse": 2000.0}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        pytest.param("", tuple(EXAMPLES), id="none named: all"),
        pytest.param(
            "06-breast-cancer, 01-fashion-cnn,", ("06-breast-cancer", "01-fashion-cnn"), id="two, with blanks"
        ),
    ],
)
def test_the_examples_that_are_named_are_run(names: str, wanted: tuple[str, ...]) -> None:
    assert chosen(names) == wanted


def test_an_unknown_example_is_named_beside_those_there_are() -> None:
    with pytest.raises(BenchFailure, match=r"BENCH_EXAMPLES: no such example: 99-none; choose from 01-fashion-cnn, "):
        chosen("01-fashion-cnn,99-none")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_judged_by_metrics_that_its_job_measures(name: str) -> None:
    pipeline = load_job(FOLDER / name / "job.yaml").spec.pipeline
    assert pipeline is not None
    asked = set(pipeline.evaluate.metrics or EVERYTHING)
    metrics = {metric: value for metric, value in EVERYTHING.items() if metric in asked}
    figures = list(EXAMPLES[name].judge(name, pipeline, Reached(metrics, 1.0)))
    assert all(figure.name.startswith(f"accuracy/{name}/") and figure.passed is not None for figure in figures)
    assert figures


def test_every_example_with_a_pipeline_that_needs_no_gpu_is_judged() -> None:
    jobs = {job.parent.name: load_job(job) for job in FOLDER.glob("*/job.yaml")}
    with_pipeline = {name for name, job in jobs.items() if job.spec.pipeline}
    assert {name for name in with_pipeline if not name.endswith("-gpu")} == set(EXAMPLES)


@pytest.mark.parametrize("length", [11, 14], ids=["a window of a cycle", "a longer window"])
@pytest.mark.parametrize("horizon", [1, 4], ids=["next year", "four years"])
def test_the_seasonal_forecast_is_right_for_what_repeats_and_wrong_by_what_does_not(length: int, horizon: int) -> None:
    years = np.arange(60, dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(years % 11, length + horizon)
    inputs, targets = torch.from_numpy(windows[:, :length, None].copy()), torch.from_numpy(windows[:, length:].copy())
    assert seasonal_errors(Split(inputs, targets)) == {"mae": 0.0, "mse": 0.0}
    assert seasonal_errors(Split(inputs, targets + 2)) == {"mae": 2.0, "mse": 4.0}


def test_the_ridge_is_the_minimum_of_what_a_job_minimises() -> None:
    """By the normal equations of mean((x w + b - y)^2) + l2 / 2 * |w|^2, columns standardised."""
    random, l2 = np.random.default_rng(0), 0.7
    inputs = random.normal(3, 2, (50, 4))
    targets = inputs @ random.normal(size=(4, 1)) + random.normal(0, 2, (50, 1))
    train, test = (
        Split(torch.tensor(inputs[part]).float(), torch.tensor(targets[part]).float())
        for part in (slice(40), slice(40, 50))
    )
    x, y, held_out, truth = (one.double().numpy() for one in (train.inputs, train.targets, test.inputs, test.targets))
    mean, deviation = x.mean(0), x.std(0)
    x, held_out = (x - mean) / deviation, (held_out - mean) / deviation
    weights = np.linalg.solve(x.T @ x / 40 + l2 / 2 * np.eye(4), x.T @ (y - y.mean()) / 40)
    errors = held_out @ weights + y.mean() - truth
    assert ridge_r2(train, test, l2) == pytest.approx(1 - (errors**2).sum() / ((truth - truth.mean()) ** 2).sum())


def test_the_fast_example_has_to_be_fast() -> None:
    pipeline = load_job(FOLDER / "04-fast-fashion-cnn" / "job.yaml").spec.pipeline
    assert pipeline is not None
    slow = list(accuracy.fast("fast", pipeline, Reached({"accuracy": 0.91}, 61.0)))
    assert [figure.passed for figure in slow] == [True, False]
