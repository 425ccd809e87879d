"""The docstrings of fields in JSON schemas."""

from __future__ import annotations

from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel

from dltrain.api.descriptions import DescribedSchema


class Base(BaseModel, alias_generator=to_camel):
    inherited: int = 1
    """Of the base."""
    replaced: int = 1
    """Of the base, replaced."""


class Inner(BaseModel):
    deep: int = 1
    """Deep inside."""


class Outer(Base):
    replaced: int = 2
    """Of the derived."""
    two_words: int = 1
    """First line,
    and second."""
    told: int = Field(default=1, description="Told outright.")
    """Not this."""
    silent: int = 1
    inner: Inner = Inner()
    """Beside the reference."""


def test_a_fields_docstring_is_its_description() -> None:
    schema = Outer.model_json_schema(by_alias=True, schema_generator=DescribedSchema)
    assert {name: field.get("description") for name, field in schema["properties"].items()} == {
        "inherited": "Of the base.",
        "replaced": "Of the derived.",
        "twoWords": "First line,\nand second.",
        "told": "Told outright.",
        "silent": None,
        "inner": "Beside the reference.",
    }
    assert schema["$defs"]["Inner"]["properties"]["deep"]["description"] == "Deep inside."
