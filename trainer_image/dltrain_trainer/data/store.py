"""Data sets that were read and prepared once, kept as files that every rank of the machine maps into its memory."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from dltrain_trainer.data.cache import cache_folder, locked
from dltrain_trainer.data.remote import folder_errors
from dltrain_trainer.data.samples import Dataset, Feature, Split

FORMAT: Final = 3
"""Raised when files of an older version cannot be used."""
FACTS: Final = "dataset.json"
"""What is no array, written last: a folder without it is not complete."""
NO_ALLOCATION: Final = {errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system says that cannot set space aside."""


def kept(facts: Any, build: Callable[[Path], Dataset]) -> Dataset:
    """A data set from the store; built there by one rank of the machine where it is missing.

    Args:
        facts: everything that the content depends on, as JSON values.
        build: reads the data set; may put large arrays into the folder given, as `room` makes them.

    Raises:
        DataError: the store cannot be written, or `build` says so.
    """
    key = hashlib.sha256(json.dumps([FORMAT, facts], sort_keys=True).encode()).hexdigest()[:24]
    folder = cache_folder() / "prepared" / key
    with locked(folder):
        with folder_errors(folder):
            missing = not (folder / FACTS).exists()
            if missing:
                shutil.rmtree(folder, ignore_errors=True)  # left by a build that was cut short
                folder.mkdir(parents=True)
        if missing:
            dataset = build(folder)  # whose errors are the source's, not the store's
            with folder_errors(folder):
                save(dataset, folder)
    return load(folder)


def room(folder: Path, split: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A file for the images of a split, to be filled; shape (N, C, H, W).

    It has all its space from the start: a full disk ends the process without a word when mapped memory is written.

    Raises:
        DataError: the store has no space for it.
    """
    file, header = file_of(folder, split, "inputs"), {"descr": "|u1", "fortran_order": False, "shape": shape}
    with folder_errors(folder):
        try:
            with file.open("wb") as opened:
                np.lib.format.write_array_header_1_0(opened, header)
                allocate(opened.fileno(), opened.tell() + math.prod(shape))
            return np.lib.format.open_memmap(file, "r+")
        except OSError:
            file.unlink(missing_ok=True)  # some file systems keep what they had given before they were full
            raise


def allocate(file: int, size: int) -> None:
    """Have the file system set space aside for a file, where it can.

    Raises:
        OSError: it has not that much.
    """
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in NO_ALLOCATION:
            raise


def file_of(folder: Path, split: str, what: str) -> Path:
    """The file of a split's inputs or targets."""
    return folder / f"{split}.{what}.npy"


def save(dataset: Dataset, folder: Path) -> None:
    """Write a data set; inputs that are there already, made by `room`, stay as they are."""
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    present = {name: split for name, split in splits.items() if split is not None}
    for name, split in present.items():
        if not file_of(folder, name, "inputs").exists():
            np.save(file_of(folder, name, "inputs"), split.inputs.numpy())
        np.save(file_of(folder, name, "targets"), split.targets.numpy())
    facts = {
        "splits": list(present),
        "task": dataset.task,
        "outputs": dataset.outputs,
        "features": [[feature.name, list(feature.categories)] for feature in dataset.features],
        "classes": list(dataset.classes),
    }
    temporary = folder / f".{FACTS}.tmp"
    temporary.write_text(json.dumps(facts))
    temporary.replace(folder / FACTS)


def load(folder: Path) -> Dataset:
    """A data set whose arrays are mapped: memory is used once for all ranks, and only for what is read."""
    facts = json.loads((folder / FACTS).read_text())
    splits = {name: Split(mapped(folder, name, "inputs"), mapped(folder, name, "targets")) for name in facts["splits"]}
    features = tuple(Feature(name, tuple(categories)) for name, categories in facts["features"])
    return Dataset(
        splits["train"],
        splits.get("validation"),
        splits["test"],
        facts["task"],
        facts["outputs"],
        features,
        tuple(facts["classes"]),
    )


def mapped(folder: Path, split: str, what: str) -> torch.Tensor:
    """An array of a file, as a tensor; what is written to it stays in this process."""
    return torch.from_numpy(np.load(file_of(folder, split, what), mmap_mode="c"))
