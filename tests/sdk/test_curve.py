"""The curve of the loss in the status, and its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltrain.curve import POINTS, extended, sparkline


def followed(steps: int, reported: range | list[int]) -> tuple[float, ...]:
    """The curve of a job whose loss is its step."""
    losses: tuple[float, ...] = ()
    for step in reported:
        losses = extended(losses, step, steps, float(step))
    return losses


def test_the_points_are_spread_evenly_over_the_steps() -> None:
    assert followed(3200, range(1, 3201)) == tuple(float(100 * point + 1) for point in range(POINTS))


def test_points_that_a_fast_job_skips_have_the_next_loss() -> None:
    assert followed(32, [1, 4, 5]) == (1, 4, 4, 4, 5)


@given(st.integers(1, 200), st.lists(st.integers(1, 200), max_size=50))
def test_it_has_as_many_points_as_the_share_of_the_last_step(steps: int, reported: list[int]) -> None:
    seen = [step for step in reported if step <= steps]
    losses = followed(steps, seen)
    assert len(losses) == (POINTS * (seen[-1] - 1) // steps + 1 if seen else 0)


def test_a_restart_takes_back_what_came_after_its_checkpoint() -> None:
    before = followed(320, range(1, 200))
    after = extended(before, 101, 320, 7.0)
    assert after == before[:11]


@pytest.mark.parametrize(
    ("step", "steps", "loss"),
    [(None, 10, 1.0), (1, None, 1.0), (1, 10, None), (1, 10, float("nan")), (1, 0, 1.0)],
    ids=["no step", "no end", "no loss", "not a number", "an empty training"],
)
def test_a_report_without_a_place_changes_nothing(step: int | None, steps: int | None, loss: float | None) -> None:
    assert extended((3.0,), step, steps, loss) == (3.0,)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param([1.0], "▁", id="one"),
        pytest.param([2.0, 1.0, 0.0], "█▅▁", id="falling"),
        pytest.param([1.0, 1.0], "▁▁", id="level"),
    ],
)
def test_the_line_of_a_curve(values: list[float], line: str) -> None:
    assert sparkline(values) == line
