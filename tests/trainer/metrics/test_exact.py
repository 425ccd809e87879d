"""Sums that do not round."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dltrain_trainer.evaluation import exact
from dltrain_trainer.evaluation.exact import UNIT, exact_sum, quotient

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = arrays.arrays(np.float64, st.integers(0, 40), elements=FINITE)
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(NUMBERS)
def test_the_sum_is_the_sum_of_the_fractions_that_the_floats_are(values: np.ndarray) -> None:
    assert Fraction(exact_sum(values), 2**UNIT) == sum(map(Fraction, values.tolist()))


@QUICK
@given(NUMBERS, st.integers(1, 1000))
def test_a_quotient_is_rounded_once(values: np.ndarray, divisor: int) -> None:
    try:
        expected = float(sum(map(Fraction, values.tolist()), Fraction(0)) / divisor)
    except OverflowError:
        with pytest.raises(OverflowError):
            quotient(exact_sum(values), divisor)
    else:
        assert quotient(exact_sum(values), divisor) == expected


@QUICK
@given(NUMBERS, st.integers(0, 40), st.randoms())
def test_order_and_shares_do_not_matter(values: np.ndarray, cut: int, random: Random) -> None:
    shuffled = np.array(random.sample(values.tolist(), len(values)))
    assert exact_sum(shuffled[:cut]) + exact_sum(shuffled[cut:]) == exact_sum(values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="nothing"),
        pytest.param([5e-324, -5e-324, 5e-324], id="the smallest there is"),
        pytest.param([1.7976931348623157e308, 5e-324, -1.7976931348623157e308], id="the largest hides the smallest"),
        pytest.param([0.0, -0.0], id="both zeros"),
        pytest.param([0.1] * 10, id="tenths"),
    ],
)
def test_extremes(values: list[float]) -> None:
    assert quotient(exact_sum(np.array(values)), 1) == math.fsum(values)


def test_many_numbers_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(100, 37))
    whole = exact_sum(values)
    monkeypatch.setattr(exact, "PART", 64)
    assert exact_sum(values) == whole
    assert quotient(whole, 1) == math.fsum(values.ravel().tolist())
