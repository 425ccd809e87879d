"""Copies of a model's state, and when training ends early."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from dltrain.api.evaluate import NOT_NUMBERS, MetricName
from dltrain.api.train import EarlyStopping, StoppingMetric
from dltrain_trainer.training.early_stopping import Stopping
from dltrain_trainer.training.ema import Shadow, decay_at


def model(value: float) -> nn.Sequential:
    """A model all of whose floating-point state has one value, and whose counter is that value rounded."""
    one = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for tensor in one.state_dict().values():
            tensor.fill_(value)
    return one


def values(tensors: dict[str, Tensor]) -> set[float]:
    return {
        round(float(number), 6)
        for tensor in tensors.values()
        if tensor.is_floating_point()
        for number in tensor.flatten()
    }


def test_an_average_moves_towards_the_model_by_what_it_does_not_keep() -> None:
    shadow = Shadow(model(1.0), "ema")
    shadow.follow(model(3.0), decay=0.75)
    assert values(shadow.tensors()) == {1.5}
    shadow.follow(model(-0.5), decay=0.5)
    assert values(shadow.tensors()) == {0.5}


def test_counters_are_copied() -> None:
    shadow = Shadow(model(1.0), "ema")
    shadow.follow(model(7.0), decay=0.9)
    assert shadow.tensors()["ema.1.num_batches_tracked"] == 7


def test_without_a_decay_it_becomes_the_model_to_the_bit() -> None:
    shadow, other = Shadow(model(1.0), "best"), model(1 / 3)
    shadow.follow(other)
    assert all(torch.equal(shadow.tensors()[f"best.{name}"], one) for name, one in other.state_dict().items())


def test_a_model_has_the_shadows_state_for_a_while_and_then_its_own() -> None:
    one = model(2.0)
    shadow = Shadow(model(5.0), "ema")
    with shadow.lent_to(one):
        assert values(one.state_dict()) == {5.0}
    assert values(one.state_dict()) == {2.0}
    with pytest.raises(KeyError), shadow.lent_to(one):
        raise KeyError
    assert values(one.state_dict()) == {2.0}
    shadow.give(one)
    assert values(one.state_dict()) == {5.0}
    assert values(shadow.tensors()) == {5.0}


def test_a_shadow_is_restored_by_writing_to_its_tensors() -> None:
    one, other = Shadow(model(1.0), "ema"), Shadow(model(2.0), "ema")
    for name, tensor in other.tensors().items():
        tensor.copy_(one.tensors()[name])
    assert values(other.tensors()) == {1.0}


@pytest.mark.parametrize(("steps", "decay"), [(1, 2 / 11), (10, 11 / 20), (100_000, 0.999)])
def test_an_average_forgets_faster_at_the_start(steps: int, decay: float) -> None:
    assert decay_at(0.999, steps) == pytest.approx(decay)


# ---------------------------------------------------------------- early stopping
def seen(numbers: list[float], **settings: Any) -> tuple[list[bool], list[int], bool]:
    """Whether each epoch was the best so far, the epochs since the best after each, and whether training ends."""
    stopping, better, stale = Stopping(EarlyStopping.model_validate(settings)), [], []
    for number in numbers:
        better.append(stopping.see(number))
        stale.append(stopping.stale)
    return better, stale, stopping.is_due


@pytest.mark.parametrize(
    ("settings", "numbers", "better", "due"),
    [
        pytest.param({"patience": 2}, [3, 2, 1], [True, True, True], False, id="a falling loss"),
        pytest.param({"patience": 2}, [3, 2, 2, 2], [True, True, False, False], True, id="a loss that stays"),
        pytest.param({"patience": 3}, [1, 2, 3], [True, False, False], False, id="not yet"),
        pytest.param({"metric": "accuracy", "patience": 1}, [0.5, 0.6, 0.6], [True, True, False], True, id="accuracy"),
        pytest.param(
            {"patience": 2, "minDelta": 0.5},
            [3, 2.6, 2.4, 2.3],
            [True, False, True, False],
            False,
            id="too small a gain",
        ),
        pytest.param({"patience": 2}, [3, math.nan, 2], [True, False, True], False, id="no number once"),
        pytest.param({"patience": 2}, [math.nan, math.nan], [False, False], True, id="never a number"),
    ],
)
def test_training_ends_after_some_epochs_without_progress(
    settings: dict[str, Any], numbers: list[float], better: list[bool], due: bool
) -> None:
    found, _, ends = seen(numbers, **settings)
    assert (found, ends) == (better, due)


FALLING = {"loss", "mse", "mae", "calibrationError"}


@pytest.mark.parametrize("metric", sorted(FALLING))
def test_errors_are_better_when_they_fall(metric: str) -> None:
    assert seen([1, 0.5, 0.7], metric=metric)[0] == [True, True, False]


@pytest.mark.parametrize("metric", sorted({*get_args(StoppingMetric)} - FALLING))
def test_scores_are_better_when_they_rise(metric: str) -> None:
    assert seen([0.5, 0.4, 0.7], metric=metric)[0] == [True, False, True]


def test_every_metric_of_evaluation_that_is_a_number_can_be_followed() -> None:
    assert {*get_args(StoppingMetric)} == {"loss", *get_args(MetricName)} - NOT_NUMBERS


def test_the_count_starts_again_with_progress() -> None:
    assert seen([3, 4, 5, 2, 3])[1] == [0, 1, 2, 0, 1]


def test_a_stopping_is_restored_by_writing_to_its_tensors() -> None:
    one, other = Stopping(EarlyStopping()), Stopping(EarlyStopping())
    for number in (3.0, 1 / 3, 4.0):
        one.see(number)
    for name, tensor in other.tensors().items():
        tensor.copy_(one.tensors()[name])
    assert (other.best, other.stale) == (1 / 3, 1)
