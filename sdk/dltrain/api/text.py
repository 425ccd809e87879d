"""The text of a job file, and its values where it is plain JSON: all that agents read, and YAML is slow to import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from dltrain.errors import Problem, SpecError


def read_text(path: Path) -> str:
    """Read a job file.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError([Problem("", f"cannot read {path}: {error.strerror}", remedy="check the path")]) from error
    except UnicodeDecodeError as error:
        raise SpecError([Problem("", f"{path} is not UTF-8 text", remedy="save it as UTF-8")]) from error


def plain_json(text: str) -> dict[str, Any] | None:
    """The object that a JSON text holds; None for any other text: a reader of YAML reads it, or says what is wrong."""
    try:
        value = json.loads(text, object_pairs_hook=with_keys_once, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def with_keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object.

    Raises:
        ValueError: a key is given twice.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is given twice")
    return value


def refuse(constant: str) -> NoReturn:
    """Refuse NaN and its like, which are no JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{constant} is no JSON")
