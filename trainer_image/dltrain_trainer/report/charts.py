"""Line charts as geometry: what the page's template draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from dltrain_trainer.report.scales import Scale, number, rounded_range, tick_label, ticks

WIDTH: Final = 480
HEIGHT: Final = 310
LEFT: Final = 58
RIGHT: Final = 24
TOP: Final = 32
BOTTOM: Final = 48
MARKS: Final = 5
"""About how many values of an axis are marked."""
DOTS: Final = 40
"""A line of no more points shows each as a dot."""
MUTED: Final = -1
"""The colour of what is background."""


@dataclass(frozen=True, slots=True)
class Series:
    """What a chart shows, before it is drawn."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(x, y), from left to right."""
    band: tuple[tuple[float, float, float], ...] = ()
    """(x, lowest, highest) of what the points are means of."""
    muted: bool = False
    """Whether it is background to the others."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One of a chart's axes."""

    label: str
    fixed: tuple[float, float] | None = None
    """The range; by default what the values need."""
    from_zero: bool = False
    """Whether zero must be in the range."""
    whole: bool = False
    """Whether only whole numbers have a meaning."""

    def scale(self, values: Iterable[float], start: float, end: float) -> Scale:
        """The axis between two places on the drawing."""
        return Scale(*(self.fixed or rounded_range(values, MARKS, from_zero=self.from_zero)), start, end)


@dataclass(frozen=True, slots=True)
class Table:
    """The same as a table."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """What was left out."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A value on an axis, or a dot on a line."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A series, drawn; an area where it has a band."""

    name: str
    colour: int
    """Which of the page's colours, from 0; or MUTED."""
    path: str
    band: str
    dots: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready to be drawn."""

    key: str
    """Unlike any other chart's of the page."""
    title: str
    description: str
    """What is to be seen, in a sentence, for those who do not see it."""
    x_label: str
    y_label: str
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    """Those in the background first."""
    table: Table
    diagonal: str
    """A path from corner to corner, or none."""
    note: str
    """What is not drawn."""

    @property
    def legend(self) -> tuple[Line, ...]:
        """The lines that need a name: none for one alone."""
        named = {line.name: line for line in sorted(self.lines, key=lambda line: line.colour == MUTED)}
        return tuple(named.values()) if len(named) > 1 else ()


@dataclass(frozen=True, slots=True)
class Caption:
    """The words of a chart."""

    key: str
    title: str
    description: str
    note: str = ""


def line_chart(  # noqa: PLR0913 - what a chart is made of
    caption: Caption, series: Sequence[Series], x: Axis, y: Axis, table: Table, *, diagonal: bool = False
) -> Chart:
    """Draw lines.

    Args:
        caption: the chart's words.
        series: at least one with a point.
        x: the axis to the right.
        y: the axis upwards.
        table: the same as a table.
        diagonal: whether to draw a line from (0, 0) to (1, 1).
    """
    across = x.scale((point[0] for one in series for point in one.points), LEFT, WIDTH - RIGHT)
    up = y.scale(heights(series), HEIGHT - BOTTOM, TOP)
    colours = iter(range(len(series)))
    lines = [draw(one, MUTED if one.muted else next(colours), across, up) for one in series]
    return Chart(
        key=caption.key,
        title=caption.title,
        description=caption.description,
        x_label=x.label,
        y_label=y.label,
        x_marks=marks(x, across, lambda place: (place, HEIGHT - BOTTOM)),
        y_marks=marks(y, up, lambda place: (LEFT, place)),
        lines=tuple(sorted(lines, key=lambda line: line.colour != MUTED)),
        table=table,
        diagonal=path(((0, 0), (1, 1)), across, up) if diagonal else "",
        note=caption.note,
    )


def heights(series: Sequence[Series]) -> Iterator[float]:
    """Every value that the axis upwards must hold."""
    for one in series:
        yield from (y for _, y in one.points)
        yield from (edge for _, *edges in one.band for edge in edges)


def draw(series: Series, colour: int, across: Scale, up: Scale) -> Line:
    """A series as paths."""
    low = [(x, lowest) for x, lowest, _ in series.band]
    high = [(x, highest) for x, _, highest in series.band]
    band = f"{path([*low, *reversed(high)], across, up)}Z" if low else ""
    dots = series.points if len(series.points) <= DOTS and not series.muted else ()
    labels = [Mark(across.at(x), up.at(y), f"{series.name}: {number(y)} at {number(x)}") for x, y in dots]
    return Line(series.name, colour, path(series.points, across, up), band, tuple(labels))


def path(points: Iterable[tuple[float, float]], across: Scale, up: Scale) -> str:
    """A line through points, to a tenth of a pixel; neighbours that fall together are drawn once."""
    places = [place for place, _ in groupby(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)]
    return f"M{'L'.join(places)}" if places else ""


def marks(axis: Axis, scale: Scale, place: Callable[[float], tuple[float, float]]) -> tuple[Mark, ...]:
    """The marks of an axis."""
    values = ticks(scale.low, scale.high, MARKS, whole=axis.whole)
    return tuple(Mark(*place(scale.at(value)), tick_label(value)) for value in values)


def thinned(rows: Sequence[tuple[str, ...]], most: int) -> tuple[tuple[str, ...], ...]:
    """So many of some rows, evenly, the first and the last among them; all if there are no more."""
    if len(rows) <= most:
        return tuple(rows)
    return tuple(rows[round(row * (len(rows) - 1) / (most - 1))] for row in range(most))
