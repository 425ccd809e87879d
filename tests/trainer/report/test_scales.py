"""Axes that people can read."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dltrain_trainer.report.scales import Scale, number, percent, rounded_range, tick_label, ticks

VALUES = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=8)


def test_a_scale_maps_its_ends_and_what_is_between() -> None:
    scale = Scale(0, 10, 100, 0)
    assert [scale.at(value) for value in (0, 5, 10)] == [100, 50, 0]


@given(VALUES, st.booleans())
@example([5e-324], False)
def test_a_range_holds_every_value_and_has_few_marks(values: list[float], from_zero: bool) -> None:
    low, high = rounded_range(values, 5, from_zero=from_zero)
    slack = 1e-6 * max(map(abs, [low, high]))
    assert low < high
    assert low - slack <= min(values)
    assert max(values) <= high + slack
    assert not from_zero or low <= 0 <= high
    marks = ticks(low, high, 5)
    assert 2 <= len(marks) <= 8
    assert sorted(set(marks)) == list(marks)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([2.31, 0.08], (0, 2.5), id="a loss"),
        pytest.param([0.91, 0.94], (0.91, 0.94), id="an accuracy"),
        pytest.param([3.0, 3.0], (0, 3), id="always the same"),
        pytest.param([0.1, 0.1 + 1e-17], (0, 0.1), id="the same but for rounding"),
        pytest.param([0.0], (0, 1), id="zero"),
        pytest.param([-2.0], (-2, 0), id="one below zero"),
    ],
)
def test_a_range_ends_on_round_numbers(values: list[float], expected: tuple[float, float]) -> None:
    assert rounded_range(values, 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "whole", "expected"),
    [
        pytest.param(0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1], id="shares"),
        pytest.param(1, 3, True, [1, 2, 3], id="epochs"),
        pytest.param(1, 3, False, [1, 1.5, 2, 2.5, 3], id="not whole"),
        pytest.param(1, 40, True, [10, 20, 30, 40], id="many epochs"),
    ],
)
def test_marks_are_round_numbers(low: float, high: float, whole: bool, expected: list[float]) -> None:
    assert ticks(low, high, 5, whole=whole) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.1 + 0.2, "0.3"),
        (0.0005, "0.0005"),
        (1.5e-05, "1.5e-5"),
        (9000, "9000"),
        (12_500, "12.5k"),
        (1_200_000, "1.2M"),
        (-3e9, "-3G"),
    ],
)
def test_labels_of_marks_are_short(value: float, text: str) -> None:
    assert tick_label(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(60_000, "60,000"), (0.123456, "0.1235"), (5210.7, "5211"), (45_210.7, "45,211"), (1e-7, "1e-07"), (2.0, "2")],
)
def test_numbers_have_four_digits_or_are_whole(value: float, text: str) -> None:
    assert number(value) == text


def test_percent() -> None:
    assert percent(0.0714) == "7.1 %"
