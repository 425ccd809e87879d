"""What every model of the contract is made of: frozen models, shared field types, rules across fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule across the fields of one model, stated for the API server (CEL) and for Python."""

    cel: str
    holds: Callable[[Any], bool] | None
    """None for transition rules, which compare with the stored object and only the API server can check."""
    message: str
    """What must hold and what to do about it: `RULE; REMEDY`."""


class SpecModel(BaseModel):
    """A frozen part of a job: camelCase in YAML, unknown fields refused, attribute docstrings as descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message})
        return self

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON values, camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def exactly_one_of(*names: str) -> Rule:
    """The rule that one and only one of these optional fields is set.

    Args:
        names: the fields' Python names.
    """
    aliases = [to_camel(name) for name in names]
    present = ", ".join(f"has(self.{alias})" for alias in aliases)
    return Rule(
        cel=f"[{present}].filter(set, set).size() == 1",
        holds=lambda model: sum(getattr(model, name) is not None for name in names) == 1,
        message=f"must set exactly one of {', '.join(aliases)}; set one and remove the others",
    )


Count = Annotated[int, Field(ge=1, le=100_000)]
"""How many of something there are."""
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
"""A duration in whole seconds, one year at most."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
"""A share: 0 <= x < 1."""
