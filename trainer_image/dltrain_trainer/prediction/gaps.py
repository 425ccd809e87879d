"""Missing values that an exported model has nothing for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dltrain_trainer.data.readers.rows import RowFormat
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.errors import DataError


def check_complete(
    samples: NDArray[Any], preprocessing: Preprocessing, rows: RowFormat, source: str, first: int = 1
) -> None:
    """See that no value is missing for which the preprocessing has none: the model would make NaN of the whole sample.

    Args:
        samples: raw, shape (n, F) or (n, T, F), or bytes, of which none is missing.
        preprocessing: the model's.
        rows: has the names of the columns, where there are any.
        source: where the samples come from, for the error.
        first: the number of the first sample there.

    Raises:
        DataError: one is.
    """
    missing = np.isnan(samples) if samples.dtype.kind == "f" else np.zeros(0, dtype=bool)
    if not missing.any():
        return
    columns = np.flatnonzero(missing.reshape(-1, missing.shape[-1]).any(axis=0)).tolist()
    needed = [column for column in columns if is_needed(column, samples.shape[1:], preprocessing)]
    places = np.argwhere(missing[..., needed]).tolist()
    if not places:
        return
    sample, *step, place = places[0]
    column = needed[place]
    name = rows.features[column].name if rows.features else str(column)
    row = step[0] + 1 if step else first + sample
    series = f"sample {first + sample}, " if step and (first > 1 or len(samples) > 1) else ""
    raise DataError(
        f"{source}: {series}column {name}, row {row}: has no value, and the model has no impute step for this column; "
        "fill it in, or train with impute"
    )


def is_needed(column: int, shape: tuple[int, ...], preprocessing: Preprocessing) -> bool:
    """Whether a sample is NaN after the preprocessing where a column has no value: no step fills or encodes that."""
    probe = torch.zeros(1, *shape)
    probe[..., column] = torch.nan
    with torch.inference_mode():
        return bool(preprocessing.cpu()(probe).isnan().any())
