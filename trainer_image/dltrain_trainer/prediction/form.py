"""What raw samples an exported model takes: their type and shape, and how many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from dltrain_trainer.data.readers.rows import NAMELESS, RowFormat
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.export.exportable import takes_any_size

BATCH: Final = 256
BATCH_VALUES: Final = 1 << 23
"""A batch has no more values than these, unless it is one sample: pictures may be large before they are scaled."""
BYTES: Final = "uint8"
FLOATS: Final = "float32"
Shape = tuple[int | None, ...]
"""Of one sample; None for an axis of any length."""


@dataclass(frozen=True, slots=True)
class InputFormat:
    """What an exported model takes."""

    dtype: str
    """uint8, which are images, or float32."""
    shape: Shape
    """Of one raw sample."""
    rows: RowFormat = NAMELESS
    """How raw samples are written in a CSV file."""

    @staticmethod
    def from_dict(stored: Mapping[str, Any], preprocessing: Preprocessing) -> InputFormat:
        """What model.json says in `input`.

        Raises:
            KeyError: something is missing.
            TypeError: something is no list or object.
            ValueError: the type is unknown.
        """
        shape: Shape = tuple(stored["shape"])
        if stored["type"] not in (BYTES, FLOATS):
            raise ValueError(f"input.type must be {BYTES} or {FLOATS} (got {stored['type']})")
        if takes_any_size(preprocessing):
            shape = (shape[0], None, None)  # earlier versions have written the size after scaling
        return InputFormat(stored["type"], shape, RowFormat.from_dict(stored))

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample may have a shape."""
        return len(shape) == len(self.shape) and all(
            found == wanted if wanted is not None else found > 0
            for found, wanted in zip(shape, self.shape, strict=True)
        )

    def __str__(self) -> str:
        """The shape, as errors show it."""
        lengths = ", ".join("any" if length is None else str(length) for length in self.shape)
        return f"({lengths},)" if len(self.shape) == 1 else f"({lengths})"


def batch_size(shape: tuple[int, ...]) -> int:
    """How many samples of a shape a model gets at a time."""
    return max(1, min(BATCH, BATCH_VALUES // max(1, prod(shape))))
