"""Figures: what a benchmark found, with the statistics behind them; pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Literal

CONFIDENCE: Final = 0.95
DIGITS: Final = 4
"""Significant digits of a printed number: more would be noise."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is meant to reach."""

    limit: float
    sense: Literal["<=", ">="] = "<="
    of: Literal["value", "ratio"] = "value"

    def __str__(self) -> str:
        return f"{self.of} {self.sense} {self.limit:g}"

    def met_by(self, number: float) -> bool:
        """Whether a number reaches it."""
        return number <= self.limit if self.sense == "<=" else number >= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One finding."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    """The same of the peer, in the same run; None where there is none, see the note."""
    ratio: float | None = None
    """Value / peer: of pairs the median of their ratios."""
    ci95: tuple[float, float] | None = None
    """Where the true median of the ratios is with a confidence of 95 %; None for fewer than six pairs."""
    target: Target | None = None
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None where there is none, or nothing to hold against it."""
        number = self.value if self.target is None or self.target.of == "value" else self.ratio
        return None if self.target is None or number is None else self.target.met_by(number)

    def line(self) -> str:
        """The figure as one line of JSON."""
        fields: dict[str, Any] = {
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "peer": rounded(self.peer),
            "ratio": rounded(self.ratio),
            "ci95": None if self.ci95 is None else [rounded(bound) for bound in self.ci95],
            "target": None if self.target is None else str(self.target),
            "pass": self.passed,
            "note": self.note,
        }
        return json.dumps(fields)


def paired(
    name: str,
    unit: str,
    ours: Sequence[float],
    peers: Sequence[float] | None,
    *,
    target: Target | None = None,
    note: str = "",
) -> Figure:
    """A figure of repeated runs, each beside one of the peer.

    Args:
        name: what was measured.
        unit: of the values.
        ours: one value a run; the figure's value is their median.
        peers: the peer's value of the same run, in the same order; None if there was no peer.
        target: what is to be reached.
        note: what the reader has to know; the spread is added to it.

    Raises:
        ValueError: there are no runs, or not as many of the peer.
    """
    if not ours or (peers is not None and len(peers) != len(ours)):
        raise ValueError(f"{name}: {len(ours)} runs, {len(peers or ())} of the peer; give a pair for each run")
    ratios = [own / other for own, other in zip(ours, peers, strict=True)] if peers is not None else None
    return Figure(
        name=name,
        value=median(ours),
        unit=unit,
        peer=median(peers) if peers is not None else None,
        ratio=median(ratios) if ratios is not None else None,
        ci95=median_interval(ratios) if ratios is not None else None,
        target=target,
        note="; ".join(filter(None, [spread(ours, peers), note])),
    )


def single(
    name: str, unit: str, value: float, *, peer: float | None = None, target: Target | None = None, note: str = ""
) -> Figure:
    """A figure of one measurement, or of a count that does not vary.

    Args:
        name: what was measured.
        unit: of the value.
        value: what was found.
        peer: the same of the peer.
        target: what is to be reached.
        note: what the reader has to know.
    """
    ratio = value / peer if peer else None
    return Figure(name=name, value=value, unit=unit, peer=peer, ratio=ratio, target=target, note=note)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """A confidence interval of the median, exact and without an assumption about the distribution.

    The number of values below the true median is binomial (n, 1/2), so that the k-th smallest and the k-th largest
    value enclose it with a probability of 1 - 2 P(fewer than k below). The narrowest such interval is taken.

    Source: David and Nagaraja, Order Statistics, section 7.1.

    Args:
        values: independent samples.
        confidence: the least probability that the interval holds the median.

    Returns:
        The bounds; None where even the extremes do not enclose it that surely.
    """
    ordered, missed, widest = sorted(values), 0.0, None
    for index in range(len(ordered) // 2):
        missed += 2 * math.comb(len(ordered), index) / 2 ** len(ordered)
        if 1 - missed < confidence:
            break
        widest = ordered[index], ordered[-1 - index]
    return widest


def spread(ours: Sequence[float], peers: Sequence[float] | None) -> str:
    """How many runs there were, and between which values."""
    words = [f"{len(ours)} {'runs' if peers is None else 'pairs'}", f"{min(ours):.3g} to {max(ours):.3g}"]
    if peers is not None:
        words.append(f"peer {min(peers):.3g} to {max(peers):.3g}")
    return ", ".join(words)


def rounded(number: float | None) -> float | None:
    """A number with as many digits as mean anything."""
    return None if number is None else float(f"{number:.{DIGITS}g}")
