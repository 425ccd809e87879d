"""How much is pruned in each round."""

from __future__ import annotations

from itertools import pairwise


def shares(ratio: float, rounds: int) -> list[float]:
    """The share that is gone after each round: s (1 - (1 - t / n)^3), t = 1 .. n (Zhu and Gupta 2017, equation 1).

    Args:
        ratio: s, at the end.
        rounds: n.
    """
    return [ratio * (1 - (1 - step / rounds) ** 3) for step in range(1, rounds)] + [ratio]


def relative(ratio: float, rounds: int) -> list[float]:
    """The share of what is left that each round takes away, where what is gone cannot be seen any more."""
    gone = [0.0, *shares(ratio, rounds)]
    return [1 - (1 - after) / (1 - before) for before, after in pairwise(gone)]
