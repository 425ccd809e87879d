"""Ranks that hold the others up."""

import pytest

from dltrain.api.progress import Straggler
from dltrain_trainer.training.stragglers import stragglers_among


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        pytest.param([10.0], [], id="alone"),
        pytest.param([10.0, 14.9], [], id="a little slower"),
        pytest.param([10.0, 15.1], [(1, 1.51)], id="one of two"),
        pytest.param([10.0, 10.0, 30.0, 20.0], [(2, 2.0)], id="beside the median of four"),
        pytest.param([10.0, 11.0, 40.0, 9.0, 20.0], [(2, 3.64), (4, 1.82)], id="the slowest first"),
        pytest.param([0.1, 0.9], [], id="too short to tell"),
        pytest.param([40.0, 40.0, 40.0, 10.0], [], id="a fast one holds nobody up"),
    ],
)
def test_a_rank_that_computes_for_much_longer_than_the_median_is_told_of(
    seconds: list[float], found: list[tuple[int, float]]
) -> None:
    assert stragglers_among(seconds) == tuple(Straggler(rank=rank, slowdown=slowdown) for rank, slowdown in found)
