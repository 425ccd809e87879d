"""Reading the one document of a job file, with the values that kubectl would read."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml

from dltrain.api.wording import shown
from dltrain.errors import Problem, SpecError

TAG: Final = "tag:yaml.org,2002:"
INTEGER: Final = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
NUMBER: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)


def load_document(text: str) -> Mapping[str, Any]:
    """Read the one mapping that a YAML or JSON text holds.

    Raises:
        SpecError: the text is no YAML, holds no mapping or several documents, or repeats a key.
    """
    try:
        documents = [document for document in yaml.load_all(text, Loader=JobLoader) if document is not None]
    except yaml.YAMLError as error:
        raise SpecError([yaml_problem(error)]) from error
    except RecursionError as error:
        raise SpecError([Problem("", "is nested too deeply", remedy="flatten it")]) from error
    if len(documents) != 1:
        found = "no document" if not documents else f"{len(documents)} documents"
        raise SpecError([Problem("", "must hold exactly one job", found, "write one job a file")])
    if not isinstance(documents[0], Mapping):
        raise SpecError(
            [Problem("", "must be a mapping", shown(documents[0]), "start with apiVersion:, kind:, metadata:, spec:")]
        )
    return documents[0]


def load_value(text: str, path: str) -> Any:
    """Read one value.

    Args:
        text: YAML.
        path: what the value is for.

    Raises:
        SpecError: the text is no YAML.
    """
    try:
        return yaml.load(text, Loader=JobLoader)  # noqa: S506 - JobLoader is a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(
            [Problem(path, "must be followed by a YAML value", shown(text), "put text in quotes")]
        ) from error


class JobLoader(yaml.SafeLoader):
    """A YAML loader that reads plain scalars as kubectl does, and refuses a key given twice.

    PyYAML alone takes 1e-3 for text, 12:30 for the number 750 and 2026-01-31 for a date, and keeps the last of two
    equal keys in silence.
    """

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag.removeprefix(TAG) in {"bool", "null", "merge"}]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Construct a mapping.

        Raises:
            yaml.constructor.ConstructorError: a key is given twice.
        """
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for key in keys:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Construct a number that is not written as a whole one; 2.0 and 1e3 are whole all the same, as in JSON."""
        value: float = self.construct_yaml_float(node)
        return int(value) if value.is_integer() and abs(value) < 1e15 else value


class JobDumper(yaml.SafeDumper):
    """A YAML dumper that puts text in quotes wherever PyYAML or kubectl would read it as something else."""


for reader in (JobLoader, JobDumper):
    reader.add_implicit_resolver(f"{TAG}int", INTEGER, list("-+0123456789"))
    reader.add_implicit_resolver(f"{TAG}float", NUMBER, list("-+0123456789."))
JobLoader.add_constructor(f"{TAG}float", JobLoader.construct_number)


def dump(value: Any) -> str:
    """Plain values as YAML that every reader takes for the same values."""
    return yaml.dump(value, Dumper=JobDumper, sort_keys=False, allow_unicode=True)


def yaml_problem(error: yaml.YAMLError) -> Problem:
    """The problem that a YAML error states, with its place."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = getattr(error, "problem", None) or str(error)
    return Problem("", f"is not valid YAML: {what}{where}", remedy="correct that line; indent with spaces")
