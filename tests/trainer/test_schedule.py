"""Learning rates."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain_trainer.training.schedule import learning_rate
from tests.trainer.builders import train_settings

STEPS = 4
"""An epoch's."""


def rates(epochs: int = 2, name: str = "constant", warmup: float = 0.0) -> list[float]:
    """The learning rate of every step, at a peak of 0.8."""
    schedule = {"name": name, "warmupEpochs": warmup}
    settings = train_settings(epochs=epochs, optimizer={"lr": 0.8}, schedule=schedule)
    return [learning_rate(settings, step, STEPS) for step in range(epochs * STEPS)]


def half_cosine(steps: int) -> list[float]:
    return [0.4 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param({}, [0.8] * 8, id="constant"),
        pytest.param({"warmup": 1}, [0.2, 0.4, 0.6, 0.8] + [0.8] * 4, id="constant after an epoch of warm-up"),
        pytest.param({"warmup": 0.5}, [0.4, 0.8] + [0.8] * 6, id="constant after half an epoch of warm-up"),
        pytest.param({"warmup": 0.1}, [0.8] * 8, id="a warm-up shorter than a step"),
        pytest.param({"name": "cosine"}, half_cosine(8), id="cosine"),
        pytest.param({"name": "cosine", "warmup": 1}, [0.2, 0.4, 0.6, 0.8, *half_cosine(4)], id="cosine after warm-up"),
        pytest.param({"name": "cosine", "warmup": 2}, [0.1 * step for step in range(1, 9)], id="nothing but warm-up"),
    ],
)
def test_the_rate_of_each_step(schedule: dict[str, float], expected: list[float]) -> None:
    assert rates(**schedule) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 9), st.sampled_from(["constant", "cosine"]), st.floats(0, 1))
def test_no_step_is_wasted_and_none_is_beyond_the_peak(epochs: int, name: str, share: float) -> None:
    assert all(0 < rate <= 0.8 for rate in rates(epochs, name, share * epochs))


@given(st.integers(1, 9), st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_then_only_falls(epochs: int, share: float) -> None:
    found = rates(epochs, "cosine", share * epochs)
    peak = found.index(max(found))
    assert found == sorted(found[:peak]) + sorted(found[peak:], reverse=True)
