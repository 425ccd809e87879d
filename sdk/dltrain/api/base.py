"""What every model of the contract is made of: frozen models, shared field types, rules across fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic._internal._model_construction import ModelMetaclass
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from dltrain.errors import SpecError

STORED: Final = "stored"
"""The validation context of a job read back from the cluster, which has accepted it: rules are not asked again."""


@dataclass(frozen=True, slots=True)
class Found:
    """The value that breaks a rule, stated for the API server and for Python."""

    cel: str
    """An expression of any type, as cheap as the API server asks for: string(NUMBER) + TEXT, say, is refused."""
    text: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule across the fields of one model, stated for the API server (CEL) and for Python."""

    cel: str | None
    """None for what the API server sees to by itself."""
    holds: Callable[[Any], bool] | None
    """None for transition rules, which compare with the stored object and only the API server can check."""
    message: str
    """What must hold and what to do about it: `RULE; REMEDY`."""
    at: tuple[str, ...] = ()
    """The field at fault below the model, step by step; the model itself by default."""
    found: Found | None = None
    """The value to show; none where the rule says it all."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a pattern asks for, in words; stands beside it in a field's annotation."""

    rule: str
    remedy: str
    known: tuple[str, ...] = ()
    """Words that have the form: the one that was probably meant is proposed instead of the remedy."""


class SpecMeta(ModelMetaclass):
    """Makes models of Python's values, and says what is wrong with these as `parse_job` does.

    A metaclass, because pydantic calls a model's own `__init__` for nested models too, and would not gather the
    problems of these.
    """

    if not TYPE_CHECKING:  # type checkers are to see each model's own fields

        def __call__(cls, *values: Any, **fields: Any) -> Any:  # noqa: N805 - of a metaclass
            """Make one.

            Raises:
                SpecError: a value breaks the contract; holds all problems.
            """
            try:
                return super().__call__(*values, **fields)
            except ValidationError as error:
                from dltrain.api.problems import problems  # noqa: PLC0415 - which is made of every model

                raise SpecError(list(problems(error, cls))) from error


class SpecModel(BaseModel, metaclass=SpecMeta):
    """A frozen part of a job: camelCase in YAML, unknown fields refused, attribute docstrings as descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_rules(self, info: ValidationInfo) -> Self:
        for rule in () if info.context == STORED else self.rules:
            if rule.holds is not None and not rule.holds(self):
                found = rule.found.text(self) if rule.found else ""
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "at": rule.at, "found": found})
        return self

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON values, camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(BaseModel):
    """A frozen part of a status; unknown fields are ignored so that an older reader accepts a newer writer."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True)

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON values, camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class OneOf(SpecModel):
    """A choice: a model of optional fields of which exactly one is set, each a model of its own."""

    @property
    def name(self) -> str:
        """The name of the field that is set, as in YAML."""
        return next(iter(self.to_dict()))

    @property
    def chosen(self) -> SpecModel:
        """What is set."""
        chosen: SpecModel = next(value for _, value in self if value is not None)
        return chosen


def exactly_one_of(*names: str) -> Rule:
    """The rule that one and only one of these optional fields is set.

    Args:
        names: the fields' Python names.
    """
    aliases = [to_camel(name) for name in names]
    present = ", ".join(f"has(self.{alias})" for alias in aliases)

    def present_in(model: Any) -> int:
        return sum(getattr(model, name) is not None for name in names)

    count = f"[{present}].filter(set, set).size()"
    return Rule(
        cel=f"{count} == 1",
        holds=lambda model: present_in(model) == 1,
        message=f"must set exactly one of {', '.join(aliases)}; set one and remove the others",
        found=Found(count, lambda model: str(present_in(model))),
    )


Count = Annotated[int, Field(ge=1, le=100_000)]
"""How many of something there are."""
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
"""A duration in whole seconds, one year at most."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
"""A share: 0 <= x < 1."""
