"""Metrics in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.status import CompressionRow
from dltrain.cli.compression import compression_table
from dltrain.formatting import metric_text, metrics_line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0.9407, "0.9407", id="a share"),
        pytest.param(0.94, "0.9400", id="a round share"),
        pytest.param(0.0, "0.0000", id="none"),
        pytest.param(1.0, "1.0000", id="all"),
        pytest.param(0.001, "0.0010", id="the smallest with four decimals"),
        pytest.param(0.00099, "0.00099", id="below it"),
        pytest.param(1.04e-5, "1.04e-05", id="a small error"),
        pytest.param(12.3456, "12.35", id="a larger error"),
        pytest.param(-0.25, "-0.2500", id="worse than the mean"),
        pytest.param(-31065363.2423, "-3.107e+07", id="much worse"),
        pytest.param(float("nan"), "nan", id="no number"),
        pytest.param(float("inf"), "inf", id="infinite"),
    ],
)
def test_a_metric_is_short_and_tells_what_it_is(value: float, text: str) -> None:
    assert metric_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False).filter(bool))
def test_no_metric_but_zero_is_shown_as_zero_and_none_is_long(value: float) -> None:
    assert float(metric_text(value)) != 0
    assert len(metric_text(value)) <= len("-1.234e-100")


def test_metrics_have_their_names() -> None:
    assert metrics_line({"r2": 0.5, "mse": 2e-4}) == "r2 0.5000, mse 0.0002"
    assert metrics_line({}) == ""


def test_the_steps_of_a_compression_tell_small_errors() -> None:
    rows = [
        CompressionRow(step=name, outcome="passed", metrics={"mse": mse}) for name, mse in (("a", 4e-5), ("b", 12.3456))
    ]
    assert [line.split()[2] for line in compression_table(rows).splitlines()[1:]] == ["MSE", "4e-05", "12.35"]
