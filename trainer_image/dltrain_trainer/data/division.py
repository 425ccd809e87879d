"""Divides samples into training, validation and test split where their source does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import DataSplit
from dltrain_trainer.data.counter import Draws
from dltrain_trainer.data.readers.parts import SPLITS, Arrays, Parts
from dltrain_trainer.data.samples import Dataset, Split, make_dataset, make_split, outputs_of
from dltrain_trainer.errors import DataError

TEST_SHARE: Final = 0.2
"""Of a source without a test split."""
PURPOSE: Final = 1
"""Of the random numbers that divide."""
PATH: Final = "spec.pipeline.data.split"
Indices = NDArray[np.int64]


def by_hash(count: int, shares: tuple[float, ...], seed: int) -> list[Indices]:
    """Samples divided by a hash of their index: each stays in its part when samples are added.

    Args:
        count: how many samples there are.
        shares: of each part but the first, which gets what is left.
        seed: another one divides otherwise.

    Returns:
        The indices of each part, in order.
    """
    _, part = hashed(np.arange(count), shares, seed)
    return indices_of(part, len(shares))


def hashed(keys: Indices, shares: tuple[float, ...], seed: int) -> tuple[NDArray[np.float64], Indices]:
    """The place in 0..1 that the hash of each key gives it, and the part that this is in.

    Args:
        keys: of the samples.
        shares: of each part but the first.
        seed: another one hashes otherwise.

    Returns:
        The places, and the index into the shares of each; the number of shares for what is left, the first part.
    """
    place = Draws(seed, 0, keys, PURPOSE).uniform(1)[0]
    return place, np.searchsorted(np.cumsum(shares), place, side="right")


def indices_of(part: Indices, shares: int) -> list[Indices]:
    """The indices of each part, in order: first of what is left, then of each share; `part` as `hashed` gives it."""
    return [np.flatnonzero(part == which) for which in (shares, *range(shares))]


def by_time(count: int, shares: tuple[float, ...], gap: int) -> list[Indices]:
    """Windows of a series divided by time: the first part comes first, and none sees another's targets.

    Args:
        count: how many windows there are.
        shares: of each part but the first, in the order of time.
        gap: windows left out before each later part: those whose targets reach into it.

    Returns:
        The indices of each part, in order.
    """
    sizes = [round(share * count) for share in shares]
    starts = [count - sum(sizes[index:]) for index in range(len(sizes))]
    ends = [*(start - gap for start in starts), count]
    return [np.arange(start, max(start, end)) for start, end in zip((0, *starts), ends, strict=True)]


def shares_of(split: DataSplit, *, has_validation: bool, has_test: bool) -> tuple[float, float]:
    """The shares of the samples that become the validation and the test split; 0 where the source has the split.

    Raises:
        DataError: the job asks for a split that the source has.
    """
    if has_validation and split.validation:
        raise DataError(f"{PATH}.validation: must be absent, for the source has a validation split; remove it")
    if has_test and split.test is not None:
        raise DataError(f"{PATH}.test: must be absent, for the source has a test split; remove it")
    return split.validation, 0.0 if has_test else split.test or TEST_SHARE


def check_parts(found: Mapping[str, int], wanted: Collection[str]) -> None:
    """See that no split that is wanted is empty.

    Args:
        found: samples of each.
        wanted: those that must have some.

    Raises:
        DataError: one has none.
    """
    for name in wanted:
        if not found[name]:
            counts = ", ".join(f"{each} {number}" for each, number in found.items())
            raise DataError(
                f"{PATH}: no samples are left for the {name} split ({counts}); change the shares or the seed"
            )


def divided(found: Parts, split: DataSplit, source: str) -> Dataset:
    """The data set of what a reader gives, with the splits that it lacks.

    Raises:
        DataError: the arrays do not make up a data set, or a split has no samples.
    """
    arrays = dict(found.splits)
    for name, part in division(found, split).items():
        arrays[name] = Arrays(found.splits["train"].inputs[part], found.splits["train"].targets[part])
    counts = {name: len(arrays[name].targets) if name in arrays else 0 for name in SPLITS}
    check_parts(counts, set(arrays))
    splits = {
        name: make_split(part.inputs, part.targets, found.task, f"{source} ({name})") for name, part in arrays.items()
    }
    return dataset_of(splits, found, source)


def division(found: Parts, split: DataSplit) -> dict[str, Indices]:
    """Which of a source's training samples become which split; nothing where the source has all that is wanted.

    Raises:
        DataError: the job asks for a split that the source has.
    """
    has_validation, has_test = "validation" in found.splits, "test" in found.splits
    shares = shares_of(split, has_validation=has_validation, has_test=has_test)
    if not any(shares):
        return {}
    count = len(found.splits["train"].targets)
    ways = by_time(count, shares, found.horizon - 1) if found.series else by_hash(count, shares, split.seed)
    return {name: part for name, part, share in zip(SPLITS, ways, (1.0, *shares), strict=True) if share}


def dataset_of(splits: Mapping[str, Split], found: Parts, source: str) -> Dataset:
    """A data set of splits that fit each other.

    Raises:
        DataError: they do not.
    """
    train = splits["train"]
    outputs = len(found.classes) or outputs_of(train)
    dataset = Dataset(
        train, splits.get("validation"), splits["test"], found.task, outputs, found.features, found.classes
    )
    return make_dataset(dataset, source)
