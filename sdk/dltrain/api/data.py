"""Where a job's samples come from, how they are divided, prepared and varied."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.augmentations import Augmentation
from dltrain.api.base import Form, Found, Fraction, Rule, SpecModel
from dltrain.api.policy import CLAIM_PATTERN
from dltrain.api.transforms import ColumnName, Columns, Transform

NAMED_SOURCES: Final = (
    "fashion-mnist",
    "mnist",
    "digits",
    "breast-cancer",
    "diabetes",
    "wine",
    "sunspots",
)
"""The sets that are known by name."""
TABLES: Final = ("csv", "parquet")
"""The formats whose samples are rows of named columns."""
CLAIM_SCHEME: Final = "pvc://"

SOURCE_PATTERN: Final = (
    rf"^({'|'.join(NAMED_SOURCES)}|file:///.+"
    rf"|pvc://{CLAIM_PATTERN[1:-1]}(/.*)?"
    r"|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+)$"
)
SampleCount = Annotated[int, Field(ge=1, le=10**12)]
Task = Literal["classification", "regression", "multilabel"]


class Limit(SpecModel):
    """How much of each split to use; for trying a job out quickly."""

    train: SampleCount | None = None
    """The first so many training samples. Default: all."""
    validation: SampleCount | None = None
    """The first so many validation samples. Default: all."""
    test: SampleCount | None = None
    """The first so many test samples. Default: all."""


class DataSplit(SpecModel):
    """How samples are divided where the source does not say it.

    Each sample goes by a hash of its index and the seed, and stays where it is when samples are added behind it;
    images of a folder go by a hash of class, file name and seed, whatever others there are; windows of a series go by
    time, the latest to the test split.
    """

    rules = (
        Rule(
            cel="!has(self.test) || self.validation + self.test < 1.0",
            holds=lambda split: split.test is None or split.validation + split.test < 1,
            message="must leave some samples to train with: validation and test add up to less than 1; lower one",
            found=Found("self.validation + self.test", lambda split: f"{split.validation + split.test:g}"),
        ),
        Rule(
            cel="!has(self.column) || !has(self.test)",
            holds=lambda split: split.column is None or split.test is None,
            message="must be absent when a column says which samples are for testing; remove it or column",
            at=("test",),
            found=Found("self.test", lambda split: f"{split.test:g}"),
        ),
    )
    validation: Fraction = 0.0
    """The share of the samples to validate with while training; of the training samples where a test split is given."""
    test: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of the samples to test with, where the source has no test split. Default: 0.2."""
    column: ColumnName | None = None
    """Of a csv or parquet source: a column that says train, validation or test."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Another seed divides the samples otherwise."""


class Window(SpecModel):
    """Turns the rows of a series, in their order, into samples: some rows, and the targets of the rows that follow."""

    length: Annotated[int, Field(ge=1, le=65_536)]
    """Rows that are seen."""
    horizon: Annotated[int, Field(ge=1, le=4096)] = 1
    """Rows after them whose target is to be forecast."""


class Data(SpecModel):
    """Where the samples come from and how they are prepared."""

    rules = (
        Rule(
            cel="['file://', 'pvc://', 's3://'].exists(scheme, self.source.startsWith(scheme)) == has(self.format)",
            holds=lambda data: data.is_named == (data.format is None),
            message="must be given exactly when source is an address; add idx, npz, image-folder, csv or parquet, "
            "or remove it",
            at=("format",),
            found=Found("'source ' + self.source", lambda data: f"source {data.source}"),
        ),
        Rule(
            cel="has(self.target) == (has(self.format) && self.format in ['csv', 'parquet'])",
            holds=lambda data: (data.target is not None) == data.is_table,
            message="must be given exactly when format is csv or parquet; add the columns to predict, or remove it",
            at=("target",),
            found=Found(
                "'format ' + (has(self.format) ? self.format : 'none')", lambda data: f"format {data.format or 'none'}"
            ),
        ),
        Rule(
            cel="!has(self.columns) || (has(self.format) && self.format in ['csv', 'parquet'])",
            holds=lambda data: data.columns is None or data.is_table,
            message="must be absent unless format is csv or parquet; remove it",
            at=("columns",),
        ),
        Rule(
            cel="!has(self.split.column) || (has(self.format) && self.format in ['csv', 'parquet'])",
            holds=lambda data: data.split.column is None or data.is_table,
            message="must be absent unless format is csv or parquet; remove it",
            at=("split", "column"),
        ),
        Rule(
            cel="!has(self.task) || (has(self.format) && self.format in ['npz', 'csv', 'parquet'])",
            holds=lambda data: data.task is None or data.format in {"npz", *TABLES},
            message="must be absent unless format is npz, csv or parquet, for all else knows its task; remove it",
            at=("task",),
        ),
        Rule(
            cel="!has(self.window) || self.source == 'sunspots' || "
            "(has(self.format) && self.format in ['csv', 'parquet'])",
            holds=lambda data: data.window is None or data.source == "sunspots" or data.is_table,
            message="must be absent unless source is a series (sunspots, csv or parquet); remove it",
            at=("window",),
        ),
        Rule(
            cel="!has(self.window) || !has(self.split.column)",
            holds=lambda data: data.window is None or data.split.column is None,
            message="must be absent with a window, for windows are divided by time; remove it",
            at=("split", "column"),
        ),
        Rule(
            cel="!has(self.delimiter) || (has(self.format) && self.format == 'csv')",
            holds=lambda data: data.delimiter is None or data.format == "csv",
            message="must be absent unless format is csv; remove it",
            at=("delimiter",),
        ),
    )
    source: Annotated[
        str,
        Field(pattern=SOURCE_PATTERN, max_length=1024),
        Form(
            "must be a named set, or a file://, pvc:// or s3:// address",
            f"write one of {', '.join(NAMED_SOURCES)}, or an address with a format",
            known=NAMED_SOURCES,
        ),
    ]
    """A named set (fashion-mnist, mnist, digits, breast-cancer, diabetes, wine, sunspots), or an address with a format:
    file:///PATH as the worker sees it, pvc://CLAIM/PATH on a volume claim of the job's namespace, s3://BUCKET/KEY."""
    format: Literal["idx", "npz", "image-folder", "csv", "parquet"] | None = None
    """Of an address: idx (a folder with the four MNIST-style files), npz (x_train, y_train and so on, or x and y),
    image-folder (a folder of PNG or JPEG files for each class, below train, validation and test where these exist),
    csv or parquet (a file, or a folder with train, validation and test files)."""
    delimiter: Literal[",", ";", "|", "\t", " "] | None = None
    """Of csv: what stands between fields. Default: a comma."""
    columns: Columns | None = None
    """Of csv and parquet: the columns to learn from. Default: all but the targets and the split's column."""
    target: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=4096)] | None = None
    """Of csv and parquet: the columns to predict; several for regression and multilabel."""
    task: Task | None = None
    """Of npz, csv and parquet: classification (one class a sample), regression (numbers) or multilabel (columns of 0
    and 1). Default: classification; with a window, regression."""
    window: Window | None = None
    """Makes samples of a series, whose rows are in the order of time. Default: each row is a sample; of sunspots: 44
    years are seen, 11 forecast."""
    split: DataSplit = DataSplit()
    """How samples are divided where the source does not say it."""
    transforms: Annotated[tuple[Transform, ...], Field(max_length=32)] = ()
    """Preprocessing steps, in order; their statistics become part of the exported model. Resize and denoise at the
    start are done once, when the data is read."""
    augment: Annotated[tuple[Augmentation, ...], Field(max_length=32)] = ()
    """Random changes of training samples. Those of shape and colour come after resize, denoise and contrastStretch at
    the start of the transforms and before the other transforms, on values of 0 to 1; erase, gaussianNoise, mixup and
    cutmix come last. Among themselves they keep their order."""
    limit: Limit = Limit()
    """How much of each split to use. Default: all of it."""

    @property
    def is_named(self) -> bool:
        """Whether the source is a named set."""
        return "://" not in self.source

    @property
    def is_table(self) -> bool:
        """Whether the source has rows of named columns."""
        return self.format in TABLES

    @property
    def claim(self) -> str | None:
        """The volume claim that workers must have mounted; None where the source needs none."""
        return claim_of(self.source)


def claim_of(address: str) -> str | None:
    """The volume claim of an address; None where it is on none."""
    return address.removeprefix(CLAIM_SCHEME).partition("/")[0] if address.startswith(CLAIM_SCHEME) else None
