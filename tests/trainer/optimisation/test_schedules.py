"""Learning rates: every schedule at the steps where it turns."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest

from dltrain.api.train import Schedule
from dltrain_trainer.training.schedules import SCHEDULES, learning_rate
from tests.trainer.optimisation.settings import train_of

EPOCHS, STEPS = 8, 5
"""Of the training, and of an epoch."""


def rates(*steps: int, lr: float = 0.4, epochs: int = EPOCHS, **schedule: Any) -> list[float]:
    """The learning rates of some steps."""
    settings = train_of(epochs=epochs, optimizer={"lr": lr}, schedule=schedule)
    return [learning_rate(settings, step, STEPS) for step in steps]


def test_every_schedule_of_the_contract_is_here() -> None:
    assert set(get_args(Schedule.model_fields["name"].annotation)) == set(SCHEDULES)


def test_a_constant_rate_stays() -> None:
    assert rates(0, 1, 20, 39) == [0.4] * 4


def test_step_falls_after_each_milestone() -> None:
    steps = rates(0, 9, 10, 29, 30, 39, name="step", milestones=[2, 6])
    assert steps == pytest.approx([0.4, 0.4, 0.04, 0.04, 0.004, 0.004])


def test_step_takes_fractions_of_epochs_and_any_factor() -> None:
    assert rates(12, 13, name="step", milestones=[2.6], factor=0.5) == pytest.approx([0.4, 0.2])


def test_cosine_falls_from_the_peak_to_its_end_by_half_a_cosine() -> None:
    expected = [0.4 * (1 + math.cos(math.pi * step / 40)) / 2 for step in (0, 10, 20, 39)]
    assert rates(0, 10, 20, 39, name="cosine") == pytest.approx(expected)
    assert expected[2] == pytest.approx(0.2)


def test_linear_falls_in_proportion() -> None:
    assert rates(0, 10, 20, 30, name="linear") == pytest.approx([0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_a_rate_may_end_above_zero(name: str) -> None:
    first, middle, last = rates(0, 20, 40, name=name, finalShare=0.1)
    assert (first, middle, last) == pytest.approx((0.4, 0.22, 0.04))


def test_a_warm_up_rises_linearly_to_the_peak_and_the_rest_starts_from_there() -> None:
    warm = rates(0, 1, 4, 5, 9, 10, name="cosine", warmupEpochs=2)
    assert warm == pytest.approx([0.04, 0.08, 0.2, 0.24, 0.4, 0.4])
    assert rates(10, 25, name="cosine", warmupEpochs=2) == pytest.approx([0.4, 0.2])


def test_milestones_count_the_epochs_of_the_warm_up() -> None:
    assert rates(9, 10, 19, 20, name="step", milestones=[4], warmupEpochs=2) == pytest.approx([0.4, 0.4, 0.4, 0.04])


def test_the_linear_scaling_rule_puts_the_peak_in_proportion_to_the_batch() -> None:
    settings = train_of(globalBatchSize=1024, optimizer={"lr": 0.1, "referenceBatchSize": 256})
    assert learning_rate(settings, 0, STEPS) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [("sgd", 0.1), ("lars", 1.0), ("adam", 0.001), ("adamw", 0.001), ("lamb", 0.001)],
)
def test_an_optimizer_has_a_rate_of_its_own_by_default(optimizer: str, rate: float) -> None:
    assert learning_rate(train_of(optimizer={"name": optimizer}), 0, STEPS) == rate


def test_a_training_that_is_all_warm_up_has_no_rest() -> None:
    assert rates(0, 9, epochs=2, name="cosine", warmupEpochs=2) == pytest.approx([0.04, 0.4])
