"""Passing over a rank's share of the samples in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK_VALUES: Final = 65_536
"""Values worked on at a time: half a megabyte in double precision."""
Floats = NDArray[np.float64]
Block = NDArray[np.float32]
"""Shape (rows, columns); NaN is a missing value."""
Rows = Callable[[], Iterable[Block]]
"""Begins a new pass over the rows of this rank; may have none."""


def blocks_of(array: Block) -> Iterator[Block]:
    """The rows of an array, some at a time."""
    height = max(1, BLOCK_VALUES // array.shape[1])
    for start in range(0, len(array), height):
        yield array[start : start + height]


def small_blocks(rows: Rows) -> Iterator[Block]:
    """One pass, in blocks of about the same number of values."""
    for array in rows():
        yield from blocks_of(array)
