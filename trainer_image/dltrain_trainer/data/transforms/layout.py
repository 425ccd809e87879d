"""What a batch looks like at some point of a chain of steps."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from dltrain_trainer.data.samples import Dataset, Feature
from dltrain_trainer.errors import DataError

Kind = Literal["images", "table", "series"]
Space = Literal["rgb", "hsv", "lab", "ycbcr", "gray", "other"]
Scale = Literal["bytes", "native", "free"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The samples that a step gets, or gives."""

    kind: Kind
    shape: tuple[int, ...]
    """Of one sample: (C, H, W), (F,) or (T, F)."""
    features: tuple[Feature, ...] = ()
    """The columns of tables and series."""
    space: Space = "other"
    """What the channels of images mean."""
    scale: Scale = "free"
    """Of images: 0..255, the range that belongs to the colour space (0..1 for rgb and gray), or any."""
    scaled: frozenset[str] = frozenset()
    """The columns of tables and series that normalize or minMax has changed: the codes of words are lost there."""

    @property
    def columns(self) -> int:
        """How many channels or columns a sample has."""
        return self.shape[0] if self.kind == "images" else self.shape[-1]

    @property
    def trailing(self) -> int:
        """Axes behind the one of channels or columns."""
        return 2 if self.kind == "images" else 0

    def with_features(self, features: Sequence[Feature]) -> Layout:
        """The same samples with other columns."""
        return replace(self, features=tuple(features), shape=(*self.shape[:-1], len(features)))

    def indices(self, names: Sequence[str] | None, at: str) -> list[int]:
        """The positions of columns; all of them, or all channels, for None.

        Args:
            names: the columns.
            at: the field that names them, for errors.

        Raises:
            DataError: there is no such column.
        """
        if names is None:
            return list(range(self.columns))
        known = [feature.name for feature in self.features]
        if not known:
            raise DataError(f"{at}: images have channels, not columns; remove it")
        if missing := [name for name in names if name not in known]:
            near = difflib.get_close_matches(missing[0], known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {shortened(known)}"
            raise DataError(f"{at}: there is no column {missing[0]} here; {remedy}")
        return [known.index(name) for name in names]


def check_encoded(layout: Layout, at: str) -> None:
    """See that no column holds text, for the codes of words are no quantities.

    Args:
        layout: of the samples.
        at: the field that takes all columns for numbers, for errors.

    Raises:
        DataError: one does.
    """
    for feature in layout.features:
        if feature.categories:
            raise DataError(
                f"{at}: column {feature.name} holds text; add oneHot: {{columns: [{feature.name}]}} before normalize, "
                "minMax and pca, or list other columns in spec.pipeline.data.columns"
            )


def shortened(names: Sequence[str]) -> str:
    """Some names as a list that fits a line."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def layout_of(dataset: Dataset) -> Layout:
    """The layout of a data set's own samples."""
    shape = dataset.shape
    if dataset.train.inputs.dtype == torch.uint8:
        space: Space = {1: "gray", 3: "rgb"}.get(shape[0], "other")  # type: ignore[assignment]  # of these two words
        return Layout("images", shape, space=space, scale="bytes")
    return Layout("table" if len(shape) == 1 else "series", shape, dataset.features)
