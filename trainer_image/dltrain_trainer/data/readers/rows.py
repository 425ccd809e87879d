"""Reads rows for an exported model: from the fields of a CSV file to the numbers that its training read of the like."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import Data
from dltrain_trainer.data.readers.tables import COMMA, check_names
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.data.transforms.layout import shortened
from dltrain_trainer.errors import DataError

GAPS: Final = frozenset(
    (
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
        *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
    )
)
"""The fields without a value: pyarrow's, which reads the training data but is not needed for a prediction."""
TRUTHS: Final[Mapping[str, float]] = MappingProxyType(
    {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
)
"""The words of columns of truth values, which are numbers in training: pyarrow's, too."""
FEW: Final = 3
"""Fewer columns may well have the values 0 and 1 in a row."""
YEAR: Final = re.compile(r"[12]\d{3}")
"""A number that names a column as likely as not."""
LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How the rows of a model are written in a CSV file."""

    features: tuple[Feature, ...] = ()
    """The columns that it takes, in its order; none where they have no names."""
    delimiter: str = COMMA
    """What stands between fields."""

    def to_dict(self) -> dict[str, Any]:
        """The format as plain JSON values; nothing where columns have no names."""
        if not self.features:
            return {}
        columns = [{"name": feature.name, "words": list(feature.categories)} for feature in self.features]
        return {"columns": columns, "delimiter": self.delimiter}

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> RowFormat:
        """What `to_dict` has stored; earlier versions have stored nothing.

        Raises:
            KeyError: something is missing.
            TypeError: something is no list or object.
        """
        if "columns" not in stored:
            return NAMELESS
        columns = tuple(Feature(column["name"], tuple(column["words"])) for column in stored["columns"])
        return RowFormat(columns, stored["delimiter"])


NAMELESS: Final = RowFormat()


def row_format(data: Data, features: tuple[Feature, ...]) -> RowFormat:
    """The format of a job's rows.

    Args:
        data: the job's settings.
        features: of its data set; those of npz are only numbered.
    """
    return NAMELESS if data.format == "npz" else RowFormat(features, data.delimiter or COMMA)


def read_rows(file: Path, form: RowFormat, count: int) -> NDArray[np.float32]:
    """The rows of a CSV file.

    Columns are found by the names in its first line; by their places where it has none there, or the model has none.

    Args:
        file: the file.
        form: how it is written.
        count: how many columns the model takes.

    Returns:
        Shape (N, count), NaN where a value is missing.

    Raises:
        DataError: a column is missing, a row has too many or too few fields, or a field has not what its column takes.
        OSError: the file cannot be read.
        csv.Error: it is no CSV file.
        UnicodeDecodeError: it is no text in UTF-8.
    """
    with file.open(encoding="utf-8-sig", newline="") as opened:
        lines = [fields for fields in csv.reader(opened, delimiter=form.delimiter) if fields]
    features = form.features or tuple(Feature(str(place)) for place in range(count))
    names, places = [feature.name for feature in features], list(range(count))
    named = bool(form.features)
    has_header = bool(lines) and is_header(lines[0], features, named=named, source=str(file))
    header = lines.pop(0) if has_header else names
    if named:
        names, places = header, places_in(header, names, str(file))
    elif len(header) == count:
        names = header
    if not lines:
        raise DataError(f"{file}: has no rows")
    rows = np.empty((len(lines), count), np.float32)
    for index, fields in enumerate(lines):
        if len(fields) != len(names):
            found = f"row {index + 1} has {len(fields)} fields between {form.delimiter!r}"
            raise DataError(f"{file}: {found}, it must have {len(names)}: {shortened(names)}")
    for column, (place, feature) in enumerate(zip(places, features, strict=True)):
        fields = [line[place] for line in lines]
        rows[:, column] = values_of(fields, feature, form, f"{file}: column {names[place]}")
    return rows


def values_of(fields: Sequence[str], feature: Feature, form: RowFormat, source: str) -> list[float]:
    """What the fields of a column say.

    Raises:
        DataError: one is not what the column takes.
    """
    codes, values = codes_of(feature), []
    for index, field in enumerate(fields):
        value = value_of(field, codes)
        if value is None:
            advice = "" if form.features else "; model.json has no words for it: train the model anew"
            raise DataError(f"{source}, row {index + 1}: must be {taken(feature)} (got {field}){advice}")
        values.append(value)
    return values


def is_header(fields: Sequence[str], features: Sequence[Feature], *, named: bool, source: str) -> bool:
    """Whether the first line of a file names columns: it has all their names, or neither a number nor a whole row.

    Args:
        fields: of the line.
        features: the columns that a model takes.
        named: whether it knows their names; else these are their places, which pandas writes into such a line.
        source: where the line comes from, for errors.

    Raises:
        DataError: it may as well be a row: it has the places of few columns, or words among numbers.
    """
    names = [feature.name for feature in features]
    if named and set(names) <= set(fields):
        return True
    if not named and (fields == names or any(map(is_word, fields))):
        is_clear = len(names) >= FEW if fields == names else not mostly_numbers(fields)
        if not is_clear:
            first = shortened(fields)
            raise DataError(f"{source}: its first line, {first}, may be a header or a row; name columns in letters")
        return True
    values = [value_of(field, codes_of(feature)) for field, feature in zip(fields, features, strict=False)]
    is_row = len(fields) == len(features) and None not in values
    return not is_row and not any(value_of(field, TRUTHS) is not None for field in fields if field not in GAPS)


def is_word(field: str) -> bool:
    """Whether a field is no number of any kind, and none that is missing."""
    try:
        float(field)
    except ValueError:
        return value_of(field, TRUTHS) is None
    return False


def mostly_numbers(fields: Sequence[str]) -> bool:
    """Whether no fewer fields are numbers, other than years, than are words."""
    words = sum(map(is_word, fields))
    years = sum(bool(YEAR.fullmatch(field)) for field in fields)
    return len(fields) - words - years >= words


def places_in(header: Sequence[str], wanted: Sequence[str], source: str) -> list[int]:
    """Where a first line has some names.

    Raises:
        DataError: it lacks one, or has it more than once.
    """
    check_names(header, wanted, source)
    return [header.index(name) for name in wanted]


def codes_of(feature: Feature) -> Mapping[str, float]:
    """The numbers that words of a column stand for."""
    return {word: float(place) for place, word in enumerate(feature.categories)} or TRUTHS


def value_of(field: str, codes: Mapping[str, float]) -> float | None:
    """What a field says: NaN where it says nothing, None where the column does not take it.

    Args:
        field: as it is in the file.
        codes: of the column; TRUTHS for one of numbers.
    """
    if field in codes or field in GAPS:
        return codes.get(field, math.nan)  # a word first: that of a parquet file may be one that means a gap elsewhere
    if codes is not TRUTHS:
        return None
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isnan(value) or abs(value) <= LARGEST else None


def taken(feature: Feature) -> str:
    """What a column takes, for errors."""
    if feature.categories:
        return f"one of {shortened(feature.categories)}, or empty for none of them"
    return "a finite number, or empty"
