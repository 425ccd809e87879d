"""Tiny data of every format, and what a job may ask of each."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image

ROWS: Final = 48
"""Samples of a source, test split included."""
CLASSES: Final = 3


@dataclass(frozen=True, slots=True)
class Source:
    """What a job can be drawn from."""

    data: dict[str, Any]
    """spec.pipeline.data, but for what is drawn."""
    kind: str
    """images, table or series."""
    task: str = "classification"
    outputs: int = CLASSES
    shape: tuple[int, ...] = ()
    """Of images; (0, 0, 0) where they differ, so that they must be resized."""
    numbers: tuple[str, ...] = ()
    """Columns of numbers."""
    words: tuple[str, ...] = ()
    """Columns of text."""
    missing: bool = False
    """Whether numbers are missing."""
    has: frozenset[str] = field(default_factory=frozenset)
    """The splits that it comes with, besides train."""


def images_of(count: int, shape: tuple[int, ...], seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy images, one row of which is bright: which, is the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    pixels = random.integers(0, 120, (count, *shape), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[label * shape[0] // CLASSES] = 230
    return pixels, labels


def rows_of(count: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    """Numbers of unlike sizes, a column of which is whole."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, columns)) * 10.0 ** np.arange(columns) + np.arange(columns)
    rows[:, -1] = random.integers(0, 3, count)
    return rows.astype(np.float32)


def idx(folder: Path) -> Source:
    """Grey images as MNIST has them."""
    folder.mkdir()
    for prefix, count, seed in (("train", 36, 0), ("t10k", 12, 1)):
        pixels, labels = images_of(count, (12, 10), seed)
        head = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        head = b"\0\0\x08\x01" + len(labels).to_bytes(4, "big")
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(head + labels.astype(np.uint8).tobytes())
    return Source(address(folder, "idx"), "images", shape=(1, 12, 10), has=frozenset({"test"}))


def colour_npz(folder: Path) -> Source:
    """Images in colours, with all three splits."""
    splits = {"train": 33, "validation": 9, "test": 12}
    arrays: dict[str, Any] = {}
    for seed, (name, count) in enumerate(splits.items()):
        arrays[f"x_{name}"], arrays[f"y_{name}"] = images_of(count, (16, 16, 3), seed)
    np.savez(folder.with_suffix(".npz"), **arrays)
    data = address(folder.with_suffix(".npz"), "npz")
    return Source(data, "images", shape=(3, 16, 16), has=frozenset({"validation", "test"}))


def labelled_npz(folder: Path) -> Source:
    """Grey images with several labels each, in one part."""
    pixels, labels = images_of(ROWS, (14, 14))
    several = np.stack([labels == 0, labels != 1, np.arange(ROWS) % 4 == 0], axis=1).astype(np.int64)
    np.savez(folder.with_suffix(".npz"), x=pixels, y=several)
    data = {**address(folder.with_suffix(".npz"), "npz"), "task": "multilabel"}
    return Source(data, "images", task="multilabel", shape=(1, 14, 14))


def image_numbers_npz(folder: Path) -> Source:
    """Images in colours from which a number is to be told."""
    pixels, labels = images_of(ROWS, (12, 12, 3))
    np.savez(folder.with_suffix(".npz"), x=pixels, y=labels * 1.5 - 1)
    data = {**address(folder.with_suffix(".npz"), "npz"), "task": "regression"}
    return Source(data, "images", task="regression", outputs=1, shape=(3, 12, 12))


def rows_npz(folder: Path) -> Source:
    """Rows with missing values, and two numbers to tell."""
    rows = rows_of(ROWS, 4)
    targets = np.stack([rows[:, 0], rows[:, 1] - rows[:, 0]], axis=1)
    rows[::7, 1] = np.nan
    np.savez(folder.with_suffix(".npz"), x=rows, y=targets)
    data = {**address(folder.with_suffix(".npz"), "npz"), "task": "regression"}
    columns = ("0", "1", "2", "3")
    return Source(data, "table", task="regression", outputs=2, numbers=columns, missing=True)


def series_npz(folder: Path) -> Source:
    """Sequences of five steps of three columns."""
    rows = rows_of(ROWS * 5, 3).reshape(ROWS, 5, 3)
    np.savez(folder.with_suffix(".npz"), x=rows, y=(rows[:, 0, 0] > 0).astype(np.int64))
    data = address(folder.with_suffix(".npz"), "npz")
    return Source(data, "series", outputs=2, numbers=("0", "1", "2"))


def same_folder(folder: Path) -> Source:
    """A folder of images of one size."""
    pixels, labels = images_of(ROWS, (13, 11, 3))
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        place = folder / "abc"[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index}.png")
    return Source(address(folder, "image-folder"), "images", shape=(3, 13, 11))


def mixed_folder(folder: Path) -> Source:
    """A folder of images of many sizes, in colours and grey, divided."""
    for index in range(ROWS):
        (image,), _ = images_of(1, (10 + index % 5, 9 + index % 4, 3), index)
        place = folder / ("test" if index % 4 == 0 else "train") / "abc"[index % CLASSES]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image if index % 6 else image[:, :, 0]).save(place / f"{index}.png")
    data = address(folder, "image-folder")
    return Source(data, "images", shape=(0, 0, 0), has=frozenset({"test"}))


def table(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Columns of numbers and words, some missing, and of what is to be told from them."""
    random = np.random.default_rng(seed)
    rows = rows_of(count, 3, seed).astype(float)
    words = [["red", "green", "blue", None][index] for index in random.integers(0, 4, count)]
    label = ["yes" if a + (word == "red") > 0 else "no" for a, word in zip(rows[:, 0], words, strict=True)]
    return {
        "a": [None if index % 9 == 4 else value for index, value in enumerate(rows[:, 0].tolist())],
        "b": rows[:, 1].tolist(),
        "whole": rows[:, 2].astype(int).tolist(),
        "colour": words,
        "label": label,
        "number": (rows[:, 0] * 2 + rows[:, 1]).tolist(),
        "first": [int(each == "yes") for each in label],
        "second": random.integers(0, 2, count).tolist(),
        "part": [["train", "train", "train", "validation", "test"][index % 5] for index in range(count)],
    }


def write_csv(file: Path, columns: dict[str, list[Any]], delimiter: str = ",") -> None:
    """Columns as a CSV file; None becomes an empty field."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


TARGETS: Final[dict[str, tuple[list[str], int]]] = {
    "classification": (["label"], 2),
    "regression": (["number"], 1),
    "multilabel": (["first", "second"], 2),
}
"""The columns to predict of a task, and how many outputs that makes."""


def table_source(data: dict[str, Any], task: str, *, divided: str = "") -> Source:
    """A source of such columns, for a task; those of other tasks are left out."""
    targets, outputs = TARGETS[task]
    chosen = {"target": targets, "columns": ["a", "b", "whole", "colour"], "task": task}
    split = {"split": {"column": divided}} if divided else {}
    has = frozenset({"validation", "test"}) if divided else frozenset[str]()
    names = ("a", "b", "whole")
    return Source({**data, **chosen, **split}, "table", task, outputs, (), names, ("colour",), missing=True, has=has)


def csv_table(folder: Path) -> Source:
    """Classes of rows with words, divided by a column."""
    write_csv(folder.with_suffix(".csv"), table(ROWS), ";")
    data = {**address(folder.with_suffix(".csv"), "csv"), "delimiter": ";"}
    return table_source(data, "classification", divided="part")


def csv_folder(folder: Path) -> Source:
    """Numbers to tell, in a folder with a file for each split."""
    folder.mkdir()
    for seed, (name, count) in enumerate({"train": 36, "test": 12}.items()):
        write_csv(folder / f"{name}.csv", table(count, seed))
    found = table_source(address(folder, "csv"), "regression")
    return Source(
        found.data, *("table", "regression", 1, (), found.numbers, found.words), missing=True, has=frozenset({"test"})
    )


def parquet_table(folder: Path) -> Source:
    """Rows with several labels."""
    pa.parquet.write_table(pa.table(table(ROWS)), folder.with_suffix(".parquet"))
    return table_source(address(folder.with_suffix(".parquet"), "parquet"), "multilabel")


def parquet_series(folder: Path) -> Source:
    """A series with words in it, to be forecast."""
    columns = {name: values for name, values in table(70).items() if name in {"a", "b", "colour", "number"}}
    pa.parquet.write_table(pa.table(columns), folder.with_suffix(".parquet"))
    data = {**address(folder.with_suffix(".parquet"), "parquet"), "target": ["number"]}
    window = {"window": {"length": 4, "horizon": 2}}
    names = ("a", "b", "number")
    return Source({**data, **window}, "series", "regression", 2, (), names, ("colour",), missing=True)


def named(name: str, kind: str, task: str, outputs: int, shape: tuple[int, ...] = ()) -> Callable[[Path], Source]:
    """A set that is known by its name."""
    return lambda _: Source({"source": name}, kind, task, outputs, shape)


def address(path: Path, form: str) -> dict[str, Any]:
    """The address of some files."""
    return {"source": f"file://{path}", "format": form}


MAKERS: Final[dict[str, Callable[[Path], Source]]] = {
    "idx": idx,
    "colour-npz": colour_npz,
    "labelled-npz": labelled_npz,
    "image-numbers-npz": image_numbers_npz,
    "rows-npz": rows_npz,
    "series-npz": series_npz,
    "same-folder": same_folder,
    "mixed-folder": mixed_folder,
    "csv-table": csv_table,
    "csv-folder": csv_folder,
    "parquet-table": parquet_table,
    "parquet-series": parquet_series,
    "digits": named("digits", "images", "classification", 10, (1, 8, 8)),
    "wine": named("wine", "table", "classification", 3),
    "diabetes": named("diabetes", "table", "regression", 1),
    "breast-cancer": named("breast-cancer", "table", "classification", 2),
    "sunspots": named("sunspots", "series", "regression", 11),
}
"""Every kind of source."""


def sources(folder: Path) -> list[Source]:
    """All of them, their files in a folder."""
    return [make(folder / name) for name, make in MAKERS.items()]
