"""Reads CSV and Parquet files: rows of named columns, numbers or text."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain.api.data import Data
from dltrain_trainer.data.readers.access import source_errors, unreadable
from dltrain_trainer.data.readers.parts import SPLITS, Arrays, Parts
from dltrain_trainer.data.readers.targets import targets_of
from dltrain_trainer.data.readers.windows import windowed
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.errors import DataError

SUFFIXES: Final = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet",)}
PATH: Final = "spec.pipeline.data"
COMMA: Final = ","
"""What stands between the fields of a CSV file where the job does not say it."""
Table = Any
"""pyarrow's; it ships no types."""


def read_tables(path: Path, data: Data) -> Parts:
    """Read a file, or a folder with files for each split.

    Raises:
        DataError: a file is missing or damaged, or has not the columns that the job names or the other files have.
    """
    assert data.format is not None, "the contract asks for a format"
    pa = arrow()
    with source_errors(path):
        files = files_of(path, data.format)
    tables = {file: table_in(file, data) for several in files.values() for file in several}
    chosen = alike(tables, data)
    try:
        table = pa.concat_tables(chosen, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"{path}: its files differ in the types of columns ({error}); write them alike") from error
    of_rows = np.concatenate(
        [np.full(tables[file].num_rows, part) for part, several in files.items() for file in several]
    )
    try:
        return parts_of(table, of_rows, data, str(path))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: holds what cannot be read ({error}); write it again") from error


def alike(tables: Mapping[Path, Table], data: Data) -> list[Table]:
    """Tables with the same columns, for what one lacks would be taken for missing values when they are joined.

    Args:
        tables: by their files.
        data: the job's settings; where they name the columns, others are left out.

    Raises:
        DataError: a file lacks a column, or has one that the first has not.
    """
    if data.columns is not None:
        wanted = wanted_names(data)
        for file, table in tables.items():
            check_names(table.column_names, wanted, str(file))
        return [table.select(wanted) for table in tables.values()]
    first, names = next((file, table.column_names) for file, table in tables.items())
    for file, table in tables.items():
        check_names(table.column_names, names, str(file))
        if others := [name for name in table.column_names if name not in names]:
            raise DataError(
                f"{file}: has column {others[0]}, which {first} has not; write them alike, or name those to learn from "
                f"in {PATH}.columns"
            )
    return list(tables.values())


def arrow() -> Any:
    """The library that reads tables.

    Raises:
        DataError: it is missing.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.csv  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise DataError("csv and parquet need the library pyarrow; install dltrain[data]") from error
    return pa


def files_of(path: Path, form: str) -> dict[str, list[Path]]:
    """The files of each split: `train.csv` and so on, or folders of those names; all files are `train` otherwise.

    Raises:
        DataError: there is none.
        OSError: a folder cannot be read.
    """
    suffixes = SUFFIXES[form]
    if not path.is_dir():
        return {"train": [path]}
    declared = {split: named(path, split, suffixes) for split in SPLITS}
    if declared["train"]:
        return {split: files for split, files in declared.items() if files}
    if files := inside(path, suffixes):
        return {"train": files}
    raise DataError(f"{path}: has no {' or '.join(suffixes)} files; correct {PATH}.source or {PATH}.format")


def named(folder: Path, name: str, suffixes: Sequence[str]) -> list[Path]:
    """The files of a name, or in a folder of that name."""
    files = [folder / f"{name}{suffix}" for suffix in suffixes]
    return [file for file in files if file.is_file()] or inside(folder / name, suffixes)


def inside(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder that end in one of some suffixes, in order."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(
        file for file in found if file.name.endswith(tuple(suffixes)) and not file.name.startswith((".", "_"))
    )


def table_in(file: Path, data: Data) -> Table:
    """The table in a file.

    Raises:
        DataError: it is missing or damaged, or cannot be read.
    """
    pa = arrow()
    try:
        found = READERS[data.format or ""](pa, file, data)
        _ = found.column_names  # they are decoded when they are asked for
    except FileNotFoundError as error:
        raise DataError(f"{file}: does not exist; mount the data, or correct {PATH}.source") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno:  # pyarrow's own, for what it cannot decode, have no number
            raise unreadable(file, error) from error
        raise DataError(f"{file}: is no sound {data.format} file ({error}); write it again") from error
    return found


def read_csv(pa: Any, file: Path, data: Data) -> Table:
    """Read a CSV file; empty fields are missing values."""
    return pa.csv.read_csv(
        str(file),
        parse_options=pa.csv.ParseOptions(delimiter=data.delimiter or COMMA, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(strings_can_be_null=True),
    )


def read_parquet(pa: Any, file: Path, _: Data) -> Table:
    """Read a Parquet file."""
    return pa.parquet.read_table(str(file))


READERS: Final[Mapping[str, Callable[[Any, Path, Data], Table]]] = {"csv": read_csv, "parquet": read_parquet}


def parts_of(table: Table, of_rows: NDArray[np.str_], data: Data, source: str) -> Parts:
    """The samples of a table.

    Args:
        table: all rows.
        of_rows: the split of each, as the files say it.
        data: the job's settings.
        source: where it comes from, for errors.

    Raises:
        DataError: a column is missing, or cannot be learnt from or predicted; or no row is to train with.
    """
    assert data.target is not None, "the contract asks for a target"
    check_names(table.column_names, wanted_names(data), source)
    if data.split.column is not None:
        of_rows = splits_in(table, data.split.column, source)
    elif "train" not in of_rows:
        raise DataError(f"{source}: has no rows to train with; correct {PATH}.source")
    names = data.columns or feature_names(table, data)
    columns = [numbers_in(table, name, source) for name in names]
    inputs = np.stack([numbers for numbers, _ in columns], axis=1)
    features = tuple(Feature(name, words) for name, (_, words) in zip(names, columns, strict=True))
    task = data.task or ("regression" if data.window else "classification")
    targets, classes = targets_of({name: numbers_in(table, name, source) for name in data.target}, task, source)
    splits = {split: Arrays(inputs[of_rows == split], targets[of_rows == split]) for split in dict.fromkeys(of_rows)}
    return windowed(Parts(splits, task, features, classes), data.window, source)


def wanted_names(data: Data) -> list[str]:
    """The columns that a job names, each once."""
    return list(dict.fromkeys([*(data.columns or ()), *(data.target or ()), *filter(None, [data.split.column])]))


def check_names(names: Sequence[str], wanted: Sequence[str], source: str) -> None:
    """See that a table has some columns.

    Args:
        names: of the columns that it has.
        wanted: the names of those that it must have.
        source: where it comes from, for errors.

    Raises:
        DataError: it has not, and which one may be meant; or it has one more than once.
    """
    counts = Counter(names)  # a table may have thousands
    for name in wanted:
        if counts[name] > 1:
            raise DataError(f"{source}: has column {name} more than once; give each column a name of its own")
        if not counts[name]:
            near = difflib.get_close_matches(name, names, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"it has {', '.join(names[:20])}"
            raise DataError(f"{source}: has no column {name}; {remedy}")


def feature_names(table: Table, data: Data) -> tuple[str, ...]:
    """The columns to learn from where the job names none: all, the past of the targets included in a series.

    Raises:
        DataError: none is left.
    """
    others = {data.split.column, *(() if data.window else data.target or ())}
    names = tuple(name for name in table.column_names if name not in others)
    if not names:
        raise DataError(f"{PATH}.target: leaves no column to learn from; name fewer targets")
    return names


def splits_in(table: Table, name: str, source: str) -> NDArray[np.str_]:
    """The split that a column says for each row.

    Raises:
        DataError: it says something else, or never train.
    """
    words = np.array([str(word) for word in table.column(name).to_pylist()])
    if unknown := sorted(set(words) - set(SPLITS)):
        raise DataError(f"{source}: column {name} says {unknown[0]}; it must say train, validation or test")
    if "train" not in words:
        counts = ", ".join(f"{split} {np.count_nonzero(words == split)}" for split in SPLITS if split in words)
        found = f" ({counts})" if counts else ""
        raise DataError(f"{source}: no row of column {name} says train{found}; correct {PATH}.split.column")
    return words


def numbers_in(table: Table, name: str, source: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """A column as numbers, missing ones as NaN; of text the positions of its words in order, and the words.

    Raises:
        DataError: it holds neither numbers nor text.
    """
    pa, column = arrow(), table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        words = column.to_pylist()
        known = sorted({word for word in words if word is not None})
        place: dict[str | None, float] = {word: float(index) for index, word in enumerate(known)}
        return np.array([place.get(word, np.nan) for word in words]), tuple(known)
    if any(test(column.type) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)):
        return column.cast(pa.float64()).to_numpy(), ()
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8()).cast(pa.float64()).to_numpy(), ()
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan), ()
    raise DataError(f"{source}: column {name} holds {column.type}, not numbers or text; convert it or leave it out")
