"""The benchmark of metrics."""

from __future__ import annotations

import pytest

from tests.bench.failure import BenchFailure
from tests.bench.metrics import difference


def test_a_small_difference_is_a_figure() -> None:
    figure = difference("roc-auc", 0.5 + 2**-52, 0.5)
    assert (figure.value, figure.passed) == (2**-52, True)


@pytest.mark.parametrize("own", [None, 0.5 + 1e-11, float("nan")], ids=["no value", "too far", "not a number"])
def test_metrics_that_differ_end_the_benchmark(own: float | None) -> None:
    with pytest.raises(BenchFailure, match=r"roc-auc: is .*, scikit-learn's is 0\.5"):
        difference("roc-auc", own, 0.5)
