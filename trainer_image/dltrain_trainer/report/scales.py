"""Axes: from values to places on a drawing, the values worth a mark, and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SAME: Final = 1e-9
"""Numbers that differ by less of their size are drawn as one."""
NOTHING: Final = 1e-290
"""Smaller numbers are drawn as zero: a fifth of them has no logarithm that a float can tell from that of zero."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis."""

    low: float
    """The value at its start."""
    high: float
    """The value at its end."""
    start: float
    """Where it starts on the drawing."""
    end: float
    """Where it ends on the drawing."""

    def at(self, value: float) -> float:
        """The place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def nice_step(span: float, marks: int) -> float:
    """A distance of 1, 2 or 5 times a power of ten that divides a span into about so many parts, or fewer."""
    raw = span / marks
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def ticks(low: float, high: float, marks: int, *, whole: bool = False) -> tuple[float, ...]:
    """Round values from low to high, about so many or fewer; whole numbers only, if asked for."""
    step = max(nice_step(high - low, marks), 1.0 if whole else 0.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(number * step for number in range(first, last + 1))


def rounded_range(values: Iterable[float], marks: int, *, from_zero: bool = False) -> tuple[float, float]:
    """The range of an axis that holds all values and ends on round ones.

    Args:
        values: finite; at least one.
        marks: about how many marks there will be.
        from_zero: whether zero must be in it.
    """
    known = [*values, *([0.0] if from_zero else [])]
    low, high = min(known), max(known)
    largest = max(abs(low), abs(high))
    if largest < NOTHING:
        low, high = 0.0, 1.0
    elif high - low <= SAME * largest:
        low, high = min(low, 0.0), max(high, 0.0)
    step = nice_step(high - low, marks)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def number(value: float) -> str:
    """A number in at most four digits, or in full if it is whole."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def tick_label(value: float) -> str:
    """A mark's value, short: 1200000 as 1.2M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):g}{unit}"
    return f"{value:.10g}".replace("e-0", "e-")


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.1f} %"
