"""Makes samples of a series: windows of rows, and the targets of the rows behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import Window
from dltrain_trainer.data.readers.parts import Arrays, Parts
from dltrain_trainer.errors import DataError

PATH = "spec.pipeline.data.window"


def windowed(parts: Parts, window: Window | None, source: str) -> Parts:
    """The windows of each split's rows; the rows themselves without a window.

    Raises:
        DataError: a split is too short for one window, or classes are to be forecast over several rows.
    """
    if window is None:
        return parts
    if parts.task == "classification" and window.horizon > 1:
        raise DataError(f"{PATH}.horizon: must be 1 for classification (got {window.horizon}); or set task otherwise")
    splits = {name: windows_of(rows, window, f"{source} ({name})") for name, rows in parts.splits.items()}
    return replace(parts, splits=splits, series=True, horizon=window.horizon)


def windows_of(rows: Arrays, window: Window, source: str) -> Arrays:
    """All windows of some rows.

    Args:
        rows: inputs of shape (R, F), targets of shape (R,) or (R, K).
        window: how many rows are seen, and forecast.
        source: where they come from, for errors.

    Returns:
        Inputs of shape (N, length, F), a view of the rows, for copies take `length` times their memory; targets of
        shape (N,) for classes or (N, horizon * K).

    Raises:
        DataError: there are too few rows.
    """
    count = len(rows.inputs) - window.length - window.horizon + 1
    if count < 1:
        needed = window.length + window.horizon
        raise DataError(f"{source}: has {len(rows.inputs)} rows, a window needs {needed}; lower {PATH}.length")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is found with the samples
        numbers = rows.inputs.astype(np.float32)
    seen = sliding(numbers, window.length)[:count]
    wanted = sliding(rows.targets, window.horizon)[window.length :]
    return Arrays(seen, wanted[:, 0] if rows.targets.ndim == 1 else wanted.reshape(count, -1))


def sliding(rows: NDArray[Any], length: int) -> NDArray[Any]:
    """Windows over the first axis, as a view to be read only; shape (R, ...) to (R - length + 1, length, ...)."""
    view = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)
    return np.moveaxis(view, -1, 1)
