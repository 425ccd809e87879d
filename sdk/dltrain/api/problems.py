"""What pydantic finds wrong, as problems with path, rule, value and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dltrain.api.job import DLTrainJob
from dltrain.api.wording import broken_rule, problem_of, shown
from dltrain.errors import Problem


def problems(error: ValidationError, root: type[BaseModel] = DLTrainJob) -> Iterator[Problem]:
    """Each problem of a validation error, in the user's own field names.

    Args:
        error: what pydantic has found.
        root: the model that was to be made.
    """
    details = error.errors(include_url=False)
    for detail in (one for one in details if not follows_from_another(one, details)):
        context = detail.get("ctx", {})
        if detail["type"] == "rule":
            at, found = context.get("at", ()), context.get("found", shown(detail["input"]))
            yield broken_rule((*detail["loc"], *at), detail["msg"], found)
        else:
            message = detail["msg"][:1].lower() + detail["msg"][1:]
            value = shown(context.get("actual_length", detail["input"]))  # of a list that is too short or too long
            yield problem_of(detail["type"], detail["loc"], {"msg": message, **context}, value, root)


def follows_from_another(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because its entries, which are told of anyway, do not count."""
    length = len(detail["loc"])
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > length and other["loc"][:length] == detail["loc"] for other in details
    )
