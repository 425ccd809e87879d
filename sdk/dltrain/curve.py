"""The curve of the loss in a few points, kept without any memory but itself; and how it is drawn in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

POINTS: Final = 32
BLOCKS: Final = "▁▂▃▄▅▆▇█"


def extended(losses: Sequence[float], step: int | None, steps: int | None, loss: float | None) -> tuple[float, ...]:
    """The curve with one more report: point k is the first loss seen after k/32 of all steps.

    Args:
        losses: the curve so far.
        step: steps done; fewer than before after a restart, which takes back what came later.
        steps: steps in all.
        loss: the newest.
    """
    if step is None or not steps or loss is None or not math.isfinite(loss):
        return tuple(losses)
    point = min(POINTS - 1, POINTS * max(0, step - 1) // steps)
    missing = max(0, point + 1 - len(losses))  # a fast job passes several points between two reports
    return (*losses[: point + 1], *[float(f"{loss:.4g}")] * missing)


def sparkline(values: Sequence[float]) -> str:
    """Values as one line of blocks, the highest as the tallest; empty for none."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in values)
