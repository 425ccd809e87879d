"""What a reader gives: arrays, divided into splits as far as the source divides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from dltrain.api.data import Task
from dltrain_trainer.data.samples import Feature

SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Arrays:
    """Inputs and targets, sample by sample, as they are stored."""

    inputs: NDArray[Any]
    targets: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """The samples of a source."""

    splits: Mapping[str, Arrays]
    """By the names of SPLITS; a source that does not divide its samples has them all in `train`."""
    task: Task
    features: tuple[Feature, ...] = ()
    classes: tuple[str, ...] = ()
    series: bool = False
    """Whether samples are windows of a series, in the order of time."""
    horizon: int = 1
    """Of a series: how many rows the targets of a window reach over."""
