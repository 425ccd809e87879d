"""The statistics of benchmarks, and the line that a figure becomes."""

from __future__ import annotations

import json
import random

import pytest

from tests.bench.figures import Figure, Target, median_interval, paired, single


@pytest.mark.parametrize(
    ("count", "bounds"),
    [
        pytest.param(0, None, id="nothing"),
        pytest.param(5, None, id="five: the extremes enclose the median with 93.75 %"),
        pytest.param(6, (1, 6), id="six: the extremes, 96.9 %"),
        pytest.param(8, (1, 8), id="eight: the extremes still, without them 93.0 %"),
        pytest.param(9, (2, 8), id="nine: one from each end, 96.1 %"),
        pytest.param(20, (6, 15), id="twenty: 95.9 %"),
    ],
)
def test_the_interval_is_the_narrowest_that_is_sure_enough(count: int, bounds: tuple[int, int] | None) -> None:
    values = list(range(1, count + 1))
    random.Random(count).shuffle(values)
    assert median_interval(values) == bounds


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    """Of a skewed distribution; its true median is ln 2."""
    source, trials, held = random.Random(1), 4000, 0
    for _ in range(trials):
        low, high = median_interval([source.expovariate(1) for _ in range(9)]) or (0, 0)
        held += low <= 0.6931471805599453 <= high
    assert 0.95 <= held / trials <= 0.975  # 96.1 % is exact


def test_the_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    """The machine is ten times slower in some pairs: what both share drops out."""
    peers = [1.0, 10.0, 1.0, 10.0, 1.0, 10.0, 1.0]
    ours = [0.5, 5.0, 0.5, 5.0, 0.5, 5.0, 8.0]
    figure = paired("start", "s", ours, peers, target=Target(0.6, of="ratio"))
    assert (figure.ratio, figure.ci95) == (0.5, (0.5, 8.0))
    assert (figure.value, figure.peer) == (5.0, 1.0)
    assert figure.passed


@pytest.mark.parametrize(
    ("ours", "peers"),
    [
        pytest.param([], None, id="no run"),
        pytest.param([1.0, 2.0], [1.0], id="a run without its pair"),
    ],
)
def test_runs_without_their_pairs_make_no_figure(ours: list[float], peers: list[float] | None) -> None:
    with pytest.raises(ValueError, match=f"start: {len(ours)} runs, {len(peers or ())} of the peer"):
        paired("start", "s", ours, peers)


@pytest.mark.parametrize(
    ("target", "text", "passed"),
    [
        pytest.param(Target(2.0), "value <= 2", True, id="at the limit"),
        pytest.param(Target(1.9), "value <= 1.9", False, id="above it"),
        pytest.param(Target(2.0, ">="), "value >= 2", True, id="at the limit from above"),
        pytest.param(Target(2.1, ">="), "value >= 2.1", False, id="below it"),
        pytest.param(Target(0.5, of="ratio"), "ratio <= 0.5", True, id="of the ratio"),
        pytest.param(Target(0.6, ">=", "ratio"), "ratio >= 0.6", False, id="of the ratio, missed"),
        pytest.param(None, None, None, id="none"),
    ],
)
def test_a_target_is_met_or_not(target: Target | None, text: str | None, passed: bool | None) -> None:
    line = json.loads(single("start", "s", 2.0, peer=4.0, target=target).line())
    assert (line["target"], line["pass"]) == (text, passed)


def test_a_ratio_to_reach_without_a_peer_is_neither_met_nor_missed() -> None:
    assert single("start", "s", 2.0, target=Target(0.5, of="ratio")).passed is None


def test_a_figure_is_one_line_of_json() -> None:
    figure = Figure(
        name="start",
        value=1.23456,
        unit="s",
        peer=2.0,
        ratio=0.61728,
        ci95=(0.5, 0.700049),
        target=Target(1.6),
        note="nine pairs",
    )
    assert json.loads(figure.line()) == {
        "name": "start",
        "value": 1.235,
        "unit": "s",
        "peer": 2.0,
        "ratio": 0.6173,
        "ci95": [0.5, 0.7],
        "target": "value <= 1.6",
        "pass": True,
        "note": "nine pairs",
    }
    assert "\n" not in figure.line()


@pytest.mark.parametrize(
    ("peers", "note"),
    [
        pytest.param([2.0, 2.5], "2 pairs, 1 to 1.5, peer 2 to 2.5; warm", id="with a peer"),
        pytest.param(None, "2 runs, 1 to 1.5; warm", id="alone"),
    ],
)
def test_the_note_tells_the_spread(peers: list[float] | None, note: str) -> None:
    assert paired("start", "s", [1.5, 1.0], peers, note="warm").note == note
