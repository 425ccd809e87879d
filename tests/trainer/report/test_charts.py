"""Charts as geometry."""

from __future__ import annotations

import pytest

from dltrain_trainer.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MUTED,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Caption,
    Chart,
    Series,
    Table,
    line_chart,
    thinned,
)

TABLE = Table(("x", "y"), (("0", "0"),))
X, Y = Axis("x", (0.0, 1.0)), Axis("y", (0.0, 1.0))


def drawn(*series: Series, x: Axis = X, y: Axis = Y, diagonal: bool = False) -> Chart:
    return line_chart(Caption("key", "Title", "What is seen."), series, x, y, TABLE, diagonal=diagonal)


def test_a_line_goes_from_corner_to_corner() -> None:
    chart = drawn(Series("line", ((0, 0), (1, 1))), diagonal=True)
    corners = f"M{LEFT}.0,{HEIGHT - BOTTOM}.0L{WIDTH - RIGHT}.0,{TOP}.0"
    assert (chart.lines[0].path, chart.diagonal) == (corners, corners)


def test_points_that_fall_together_are_drawn_once_but_a_line_may_return() -> None:
    chart = drawn(Series("line", ((0, 0), (1e-9, 0), (1, 0), (0, 0))))
    assert chart.lines[0].path.count("L") == 2


def test_a_band_is_a_closed_area_and_within_the_axis() -> None:
    chart = drawn(Series("line", ((0, 1), (1, 2)), ((0, 0.5, 7), (1, 1, 3))), y=Axis("y"))
    assert chart.lines[0].band.endswith("Z")
    assert min(float(pair.split(",")[1]) for pair in chart.lines[0].band[1:-1].split("L")) >= TOP


def test_few_points_are_shown_as_dots_with_their_values() -> None:
    chart = drawn(Series("accuracy", ((1, 0.5), (2, 0.75))), x=Axis("epoch"))
    assert [dot.label for dot in chart.lines[0].dots] == ["accuracy: 0.5 at 1", "accuracy: 0.75 at 2"]
    many = drawn(Series("loss", tuple((step / 100, 0.5) for step in range(100))))
    assert many.lines[0].dots == ()


def test_what_is_background_is_drawn_first_and_named_last_and_once() -> None:
    muted = [Series("2 others", ((0, 0), (1, y)), muted=True) for y in (0.2, 0.4)]
    chart = drawn(Series("a", ((0, 0), (1, 1))), *muted, Series("b", ((0, 1), (1, 0))))
    assert [(line.name, line.colour) for line in chart.lines] == [
        ("2 others", MUTED),
        ("2 others", MUTED),
        ("a", 0),
        ("b", 1),
    ]
    assert [line.name for line in chart.legend] == ["a", "b", "2 others"]


def test_a_line_alone_needs_no_name() -> None:
    assert drawn(Series("loss", ((0, 0), (1, 1)))).legend == ()


@pytest.mark.parametrize(
    ("most", "expected"),
    [(10, [0, 1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]), (3, [0, 2, 4]), (2, [0, 4])],
)
def test_rows_are_thinned_evenly_with_both_ends(most: int, expected: list[int]) -> None:
    rows = [(str(row),) for row in range(5)]
    assert thinned(rows, most) == tuple((str(row),) for row in expected)
