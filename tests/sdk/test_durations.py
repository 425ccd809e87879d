"""Durations as people read them."""

import pytest

from dltrain.durations import short_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(-5, "0s", id="before the start"),
        pytest.param(0.4, "0s", id="hardly anything"),
        pytest.param(59.4, "59s", id="under a minute"),
        pytest.param(59.6, "1m00s", id="rounded up to a minute"),
        pytest.param(160, "2m40s", id="minutes"),
        pytest.param(3599, "59m59s", id="under an hour"),
        pytest.param(11_100, "3h05m", id="hours"),
        pytest.param(86_399, "23h59m", id="under a day"),
        pytest.param(93_600, "1d02h", id="days"),
        pytest.param(400 * 86_400, "400d00h", id="more than a year"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text
