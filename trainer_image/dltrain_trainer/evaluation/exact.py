"""Sums of floats without rounding: the same whatever the order and however the numbers are shared out among ranks."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

UNIT: Final = 1126
"""Sums are whole numbers of 2 ** -1126: 53 bits below the smallest normal float64, so no bit of any is lost."""
PART: Final = 2**20
"""Numbers summed at once: with 2 ** 26 and more, sums of 27-bit halves could leave the whole numbers of float64."""
HALF: Final = 27
"""A significand of 53 bits is summed in a part of 26 bits and one of 27."""


def exact_sum(values: NDArray[np.float64]) -> int:
    """The sum, exact, in units of 2 ** -UNIT; such sums can be added without loss.

    Args:
        values: any shape; finite.
    """
    flat = values.ravel()
    return sum(sum_of_part(flat[start : start + PART]) for start in range(0, flat.size, PART))


def sum_of_part(values: NDArray[np.float64]) -> int:
    """The same for at most PART numbers: the significands are summed per exponent."""
    fractions, exponents = np.frexp(values)
    significands = (fractions * 2.0**53).astype(np.int64)
    lowest = int(exponents.min())
    high = np.bincount(exponents - lowest, weights=significands >> HALF)
    low = np.bincount(exponents - lowest, weights=significands & (2**HALF - 1))
    return sum(
        ((int(high[bin_]) << HALF) + int(low[bin_])) << (UNIT - 53 + lowest + int(bin_))
        for bin_ in np.flatnonzero((high != 0) | (low != 0))
    )


def quotient(total: int, divisor: int) -> float:
    """A sum of `exact_sum`'s divided by a whole number, rounded once.

    Raises:
        OverflowError: no float64 is that large.
    """
    return total / (divisor << UNIT)
