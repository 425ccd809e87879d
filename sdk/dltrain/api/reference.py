"""The reference pages of the contract, generated from the models.

`python -m dltrain.api.reference` prints that of jobs, `python -m dltrain.api.reference profile` that of profiles.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from dltrain.api.crd import Schema, model_schema
from dltrain.api.job import SERVER_FIELDS, DLTrainJob, JobSpec, Metadata
from dltrain.api.profile import ProfileSpec
from dltrain.api.status import JobStatus
from dltrain.names import API_VERSION, KIND, PROFILE_KIND

RULES: Final = "x-kubernetes-validations"
RANGES: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " entries"),
    ("minProperties", "maxProperties", " entries"),
)
"""(keyword of the lower bound, of the upper bound, what they count)."""
WRITTEN: Final = ("Field", "Type", "Default", "Allowed", "Meaning")
OBSERVED: Final = ("Field", "Type", "Values", "Meaning")
"""The columns of what users write, and of what they read."""
HEAD: Final = f"""\
<!-- Generated from dltrain.api by `make reference`; do not edit. -->
# Reference: {KIND}

`apiVersion: {API_VERSION}`, `kind: {KIND}`. Each section is one object; a field without a default is optional unless
it is marked as required, and a field that is not listed is refused. The list under a table holds the rules across
fields. `dltrain validate` and the SDK apply all rules but those about changes, which need the stored job; the API
server applies every one. The operator writes `status`: see it with `dltrain status NAME`.
"""


PROFILE_HEAD: Final = f"""\
<!-- Generated from dltrain.api by `make reference`; do not edit. -->
# Reference: {PROFILE_KIND}

`apiVersion: {API_VERSION}`, `kind: {PROFILE_KIND}`, of the whole cluster; [profiles](../profiles.md) says what they are
for. Each section is one object; a field without a default is optional unless it is marked as required, and a field that
is not listed is refused. `dltrain validate` checks a file of one.
"""


def profile_reference() -> str:
    """The page of profiles, in Markdown."""
    return "\n".join([PROFILE_HEAD, *sections("spec", model_schema(ProfileSpec), WRITTEN)]) + "\n"


def reference() -> str:
    """The page of jobs, in Markdown."""
    parts = [HEAD, *section("metadata", user_metadata(), WRITTEN), *rules_of("", job_rules())]
    parts += sections("spec", model_schema(JobSpec), WRITTEN)
    parts += sections("status", model_schema(JobStatus), OBSERVED)
    return "\n".join(parts) + "\n"


def user_metadata() -> Schema:
    """The schema of the metadata that a user writes."""
    schema = model_schema(Metadata)
    server = {field.alias for name, field in Metadata.model_fields.items() if name in SERVER_FIELDS}
    return {**schema, "properties": {name: part for name, part in schema["properties"].items() if name not in server}}


def job_rules() -> Schema:
    """A schema with nothing but the rules of the job as a whole."""
    rules = [{"message": rule.message, "fieldPath": f".{'.'.join(rule.at)}"} for rule in DLTrainJob.rules]
    return {RULES: rules}


def sections(path: str, schema: Schema, columns: tuple[str, ...]) -> Iterator[str]:
    """The sections of an object and of the objects below it, depth first.

    Args:
        path: the object's place, as in `spec.pipeline`.
        schema: its structural schema.
        columns: what the tables show.
    """
    yield from section(path, schema, columns)
    yield from rules_of(path, schema)
    for name, part in schema["properties"].items():
        below = part.get("items", part)
        if below.get("properties"):
            yield from sections(f"{path}.{name}{'[]' if 'items' in part else ''}", below, columns)


def section(path: str, schema: Schema, columns: tuple[str, ...]) -> Iterator[str]:
    """The heading, description and table of one object."""
    yield f"\n## {path}\n\n{described(schema)}\n"
    yield from (table_row(columns), table_row(("---",) * len(columns)))
    required = schema.get("required", ())
    for name, part in schema["properties"].items():
        allowed = "; ".join(constraints(part))
        cells = {
            "Field": f"`{name}`",
            "Type": type_of(part),
            "Default": "required" if name in required else default_of(part),
            "Allowed": allowed,
            "Values": allowed,
            "Meaning": described(part),
        }
        yield table_row(tuple(cells[column] for column in columns))


def table_row(cells: tuple[str, ...]) -> str:
    """A row of a Markdown table; a bar within a cell must not end it."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def described(schema: Schema) -> str:
    """The description of a schema, on one line."""
    return " ".join(schema.get("description", "").split())


def rules_of(path: str, schema: Schema) -> Iterator[str]:
    """The rules across an object's fields, as a list; each names the field at fault, where it is one."""
    if RULES in schema:
        yield "\n" + "\n".join(f"- {rule_line(path, rule)}" for rule in schema[RULES])


def rule_line(path: str, rule: Mapping[str, str]) -> str:
    """A rule in words, with the field at fault in front."""
    field = f"{path}{rule.get('fieldPath', '')}".removeprefix(".")
    return f"`{field}`: {rule['message']}" if "fieldPath" in rule else rule["message"]


def type_of(schema: Schema) -> str:
    """The type of a field in a word or two."""
    if "x-kubernetes-int-or-string" in schema:
        return "quantity"
    if "items" in schema:
        return f"list of {type_of(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {type_of(schema['additionalProperties'])}"
    return "time" if schema.get("format") == "date-time" else str(schema["type"])


def default_of(schema: Schema) -> str:
    """The default of a field, as one would write it; nothing where absence is the default."""
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def constraints(schema: Schema) -> Iterator[str]:
    """What a field's value must satisfy; of a list or map, its entries' too."""
    if "enum" in schema:
        yield ", ".join(f"`{value}`" for value in schema["enum"])
    yield from ranges(schema)
    if "pattern" in schema:
        yield f"matches `{schema['pattern']}`"
    if "properties" not in schema:  # an object's rules stand below its own table
        yield from (str(rule["message"]) for rule in schema.get(RULES, ()))
    for entries in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(entries, Mapping):
            yield from (f"each {constraint}" for constraint in constraints(dict(entries)))


def ranges(schema: Schema) -> Iterator[str]:
    """The bounds of a number, or of a length."""
    for low, high, what in RANGES:
        words = []
        if low in schema:
            words.append(f"{'more than' if schema.get('exclusiveMinimum') else 'at least'} {schema[low]}")
        if high in schema:
            words.append(f"{'less than' if schema.get('exclusiveMaximum') else 'at most'} {schema[high]}")
        if words:
            yield ", ".join(words) + what


def main() -> None:
    """Print a page."""
    sys.stdout.write(profile_reference() if sys.argv[1:] == ["profile"] else reference())


if __name__ == "__main__":
    main()
