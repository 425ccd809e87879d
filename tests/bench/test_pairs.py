"""Runs in turns."""

from __future__ import annotations

import pytest

from tests.bench.failure import BenchFailure
from tests.bench.pairs import DEFAULT, Pairs, alternating, seconds_of, wanted


@pytest.mark.parametrize(
    ("warm_up", "order", "found"),
    [
        pytest.param(False, "abbaab", Pairs([1, 4, 5], [2, 3, 6]), id="every run counts"),
        pytest.param(True, "ababbaab", Pairs([3, 6, 7], [4, 5, 8]), id="the first pair warms up"),
    ],
)
def test_each_pair_is_in_the_reverse_order_of_the_one_before(warm_up: bool, order: str, found: Pairs) -> None:
    turns: list[str] = []

    def side(name: str) -> float:
        turns.append(name)
        return len(turns)

    pairs = alternating("turns", lambda: side("a"), lambda: side("b"), pairs=3, warm_up=warm_up)
    assert "".join(turns) == order
    assert pairs == found


def test_the_seconds_are_those_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    moments, done = iter([5.0, 7.5]), []
    monkeypatch.setattr("time.perf_counter", lambda: next(moments))
    assert seconds_of(lambda: done.append(True))() == 2.5
    assert done == [True]


@pytest.mark.parametrize(
    ("choice", "count"), [pytest.param("", DEFAULT, id="not set"), pytest.param("5", 5, id="five")]
)
def test_the_environment_says_how_many_pairs_count(choice: str, count: int) -> None:
    assert wanted(choice) == count


@pytest.mark.parametrize("choice", ["0", "-1", "2.5", "many"])
def test_what_is_no_number_of_pairs_is_refused(choice: str) -> None:
    with pytest.raises(BenchFailure, match=f"BENCH_PAIRS: must be a whole number from 1 .got {choice}.; 7 without it"):
        wanted(choice)
