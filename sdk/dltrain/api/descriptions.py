"""The docstrings below the fields of models, as descriptions in their JSON schemas.

pydantic could take them over itself (`use_attribute_docstrings`), but would then read the source of every model
whenever it is imported: a seventh of the time in which an agent starts, for the sake of two generators.
"""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from textwrap import dedent
from typing import cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class DescribedSchema(GenerateJsonSchema):
    """Generates a JSON schema with the description of every field that has one."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """The schema of a model."""
        result = super().model_schema(schema)
        model = cast("type[BaseModel]", schema["cls"])
        for name, text in field_docstrings(model).items():
            result["properties"][model.model_fields[name].alias or name].setdefault("description", text)
        return result


def field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings of a model's fields, those that it inherits included."""
    sources = [each for each in reversed(model.__mro__) if issubclass(each, BaseModel) and each is not BaseModel]
    texts = {name: text for each in sources for name, text in attribute_docstrings(inspect.getsource(each)).items()}
    return {name: text for name, text in texts.items() if name in model.model_fields}


def attribute_docstrings(source: str) -> dict[str, str]:
    """The string that follows each annotated name in the source of a class."""
    (definition,) = ast.parse(dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
