"""The samples that find the ranges of activations."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader
from torch import Tensor

from dltrain_trainer.data.counter import Draws
from dltrain_trainer.export.graph import INPUT

PURPOSE: Final = 0xCA11
"""Of the random numbers that choose the samples."""
BATCH: Final = 32


def calibration_indices(available: int, wanted: int, seed: int) -> Tensor:
    """Which training samples calibrate: the same for the same seed, on any number of ranks.

    Args:
        available: samples in the training split.
        wanted: how many of them.
        seed: the job's.

    Returns:
        int64, shape (wanted,), in the order in which they were drawn: the first few of them are a draw, too, whatever
        order the data is in.

    Raises:
        ValueError: there are not so many.
    """
    if wanted > available:
        raise ValueError(
            f"must be at most the {available} samples of the training split (got {wanted}); lower calibrationSamples"
        )
    words = Draws(seed, 0, np.arange(available), PURPOSE).words()[0]
    return torch.from_numpy(np.argsort(words, kind="stable")[:wanted])


class Batches(CalibrationDataReader):  # type: ignore[misc]  # untyped
    """Samples as ONNX Runtime reads them."""

    def __init__(self, samples: NDArray[Any]) -> None:
        """The reader; shape (n, ...)."""
        self._batches = iter(np.array_split(samples, max(1, round(len(samples) / BATCH))))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch, by the name of the input; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
