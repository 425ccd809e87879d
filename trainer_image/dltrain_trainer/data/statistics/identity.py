"""What tells one data set from another in a few short values: for ranks, and for a training that goes on with its own.

A value is plain JSON.  Everything is looked at where that is quick, and a fixed part of it otherwise: however large the
data is, some hundredths of a second are enough, for every restart looks, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.data.samples import Dataset, Split

BUDGET: Final = 1 << 24
"""Bytes of an array that are summed up: all of it, or parts that come to so many."""
PARTS: Final = 64
"""How many those are, evenly spread, the first and the last samples among them."""
SUM, LOOKS = "sum", "looks"
LOOKS_DIFFER: Final = 0.1
"""Mean brightness, of 255, by which two pictures differ that are not the same."""
LONG: Final = 100
"""Characters of a value that is not shown as it is."""
Facts = dict[str, Any]


def facts_of(dataset: Dataset, *, rounded: bool) -> Facts:
    """What tells a data set from others.

    Args:
        dataset: after its preparation.
        rounded: whether that has rounded pixels: as float arithmetic of one kind of CPU may round some otherwise than
            that of another, pictures are then compared by their brightness.
    """
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    facts: Facts = {
        "task": dataset.task,
        "outputs": dataset.outputs,
        "classes": {SUM: digest(dataset.classes)},
        "columns": {SUM: digest([[feature.name, *feature.categories] for feature in dataset.features])},
    }
    for name, split in splits.items():
        if split is not None:
            facts |= {f"{name} {what}": value for what, value in facts_of_split(split, rounded=rounded).items()}
    return facts


def facts_of_split(split: Split, *, rounded: bool) -> Facts:
    """What tells a split from others; `rounded` as in `facts_of`."""
    kind = str(split.inputs.dtype).removeprefix("torch.")
    return {
        "samples": len(split),
        "shape": f"{kind} {tuple(split.inputs.shape[1:])}",
        "inputs": {LOOKS: looks(split.inputs)} if rounded else {SUM: content_digest(split.inputs)},
        "targets": {SUM: content_digest(split.targets)},
    }


def content_digest(rows: Tensor) -> str:
    """A sum over the bytes of an array: all of them, or those of some of its parts; for any type and shape (N, ...)."""
    total = hashlib.sha256(f"{rows.dtype} {tuple(rows.shape)}".encode())
    for part in parts_of(rows.numpy()):
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()[:16]


def parts_of(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array as a whole where it is small; else parts of it that make up the budget, or one row each."""
    if array.nbytes <= BUDGET:
        yield array
        return
    height = max(1, BUDGET // PARTS * len(array) // array.nbytes)
    yield from (array[start : start + height] for start in places(len(array) - height + 1))


def looks(images: Tensor) -> list[float]:
    """The mean of each of some images, shape (N, C, H, W)."""
    return [float(images[place].to(torch.float64).mean()) for place in places(len(images))]


def places(count: int) -> list[int]:
    """Some indices of so many, evenly spread; each once, the first and the last among them."""
    return sorted({(count - 1) * index // (PARTS - 1) for index in range(PARTS)})


def changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of the values that differ, those that one side lacks among them; in their order.

    Raises:
        TypeError: a value is no JSON value that this module gives.
    """
    return [name for name in {**now, **was} if not same(was.get(name), now.get(name))]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, the looks of pictures but for rounding."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys() == {LOOKS}:
        pairs = list(zip(one[LOOKS], other[LOOKS], strict=False))
        alike = len(one[LOOKS]) == len(other[LOOKS])
        return alike and all(abs(mine - theirs) < LOOKS_DIFFER for mine, theirs in pairs)
    return bool(one == other)


def shown(value: Any) -> str:
    """A value in words, or a short name for one that is long."""
    text = str(value)
    return text if len(text) <= LONG else digest(value)


def digest(value: Any) -> str:
    """A short name for a JSON value that may be long."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
