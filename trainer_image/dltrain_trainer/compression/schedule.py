"""How much is pruned in each round."""

from __future__ import annotations


def shares(ratio: float, rounds: int) -> list[float]:
    """The share that is gone after each round: s (1 - (1 - t / n)^3), t = 1 .. n (Zhu and Gupta 2017, equation 1).

    Args:
        ratio: s, at the end.
        rounds: n.
    """
    return [ratio * (1 - (1 - step / rounds) ** 3) for step in range(1, rounds)] + [ratio]


def left(width: int, share: float, multiple: int = 1) -> int:
    """How many channels of a layer stay once a share is gone: the nearest multiple, but at least one.

    Args:
        width: of the layer before anything went; one that is narrower than a multiple stays whole.
        share: of it that is gone.
        multiple: what the number is a multiple of.
    """
    if width < multiple:
        return width
    return multiple * min(max(1, round(width * (1 - share) / multiple)), width // multiple)
