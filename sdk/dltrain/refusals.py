"""What an answer of the Kubernetes API other than success means, in our own exceptions with a remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dltrain.errors import (
    AlreadyExistsError,
    ClusterError,
    DLTrainError,
    NotFoundError,
    Problem,
    SpecError,
    UnavailableError,
)

CAUSE: Final = re.compile(r'(?:Invalid|Unsupported) value: (?:(?P<value>"[^"]*"|[^\s:]+): )?(?P<rule>.+)', re.DOTALL)
"""What the API server writes before the rule that was broken."""
INSTALL: Final = "`kubectl apply -k manifests/` installs dltrain"


class ExpiredError(ClusterError):
    """The point from which a watch was to go on is no longer in the server's history: list anew."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An unsuccessful answer of the API server."""

    code: int
    """The HTTP status."""
    text: str
    """The body: a Status object in JSON, or plain words from a proxy or from an unknown path."""
    server: str
    """Who answered, as in https://10.0.0.1:6443."""
    retry_after_seconds: float = 0.0
    """When the server asked to be tried again."""
    status: Mapping[str, Any] = field(init=False)
    """The Status object; empty if there is none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", status_object(self.text))

    @property
    def message(self) -> str:
        """What the server says, in one line."""
        return str(self.status.get("message") or " ".join(self.text.split()) or f"HTTP {self.code}")

    @property
    def subject(self) -> str:
        """What the request was about, as in `dltrainjobs/mnist`."""
        details = self.status.get("details", {})
        return "/".join(str(details[key]) for key in ("kind", "name") if details.get(key))


def refusal(answer: Answer) -> DLTrainError:
    """The exception that stands for an answer."""
    if answer.code >= 500:
        return busy(answer)
    return BY_CODE.get(answer.code, other)(answer)


def status_object(text: str) -> Mapping[str, Any]:
    """The Status object that a body holds; empty if it holds none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}


def unauthorized(answer: Answer) -> ClusterError:
    """Who asks is not known."""
    return ClusterError(f"{answer.server} does not accept these credentials; log in again or choose another --context")


def forbidden(answer: Answer) -> ClusterError:
    """Who asks is known and may not."""
    return ClusterError(f"{answer.message}; ask the cluster's administrator for that right")


def missing(answer: Answer) -> ClusterError:
    """The object, its namespace, or the whole kind does not exist."""
    if not answer.subject:  # the server knows no such path at all: there is no CustomResourceDefinition
        return ClusterError(f"{answer.server} does not know DLTrainJobs; {INSTALL}")
    remedy = "`dltrain list` shows the jobs of a namespace, -n chooses the namespace"
    if answer.subject.startswith("namespaces/"):
        remedy = "create it, or choose another with -n"
    return NotFoundError(f"{answer.message}; {remedy}")


def conflict(answer: Answer) -> ClusterError:
    """The name is taken, or the object was changed meanwhile."""
    if answer.status.get("reason") == "AlreadyExists":
        return AlreadyExistsError(f"{answer.message}; choose another name, or delete the old one first")
    return ClusterError(f"{answer.message}; look at it again and repeat the command")


def expired(answer: Answer) -> ClusterError:
    """The history asked for is gone."""
    return ExpiredError(answer.message)


def invalid(answer: Answer) -> DLTrainError:
    """The object breaks rules that the server checks."""
    causes = answer.status.get("details", {}).get("causes") or [{"message": answer.message}]
    told = [cause for cause in causes if cause.get("field") != "<nil>"]  # which only says that not all was checked
    return SpecError([problem(cause) for cause in told])


def problem(cause: Mapping[str, Any]) -> Problem:
    """One cause of a refusal, in the form that our own validation uses."""
    path, text = str(cause.get("field", "")), str(cause.get("message", ""))
    found = CAUSE.fullmatch(text)
    if found is None:
        return Problem(path, text)
    rule, _, remedy = found["rule"].removeprefix(f"{path} in body ").partition("; ")
    return Problem(path, rule, found["value"] or "", remedy)


def malformed(answer: Answer) -> DLTrainError:
    """The server could not decode the object: strictly, so that no field is dropped in silence."""
    fields = re.findall(r'unknown field "([^"]+)"', answer.message)
    if not fields:
        return other(answer)
    remedy = f"the cluster has an older dltrain: upgrade it ({INSTALL}), or remove the field"
    return SpecError([Problem(name, "is not a field that the cluster knows", remedy=remedy) for name in fields])


def busy(answer: Answer) -> UnavailableError:
    """The server cannot answer now."""
    return UnavailableError(
        f"{answer.server} cannot answer now: {answer.message}; try again in a moment", answer.retry_after_seconds
    )


def other(answer: Answer) -> ClusterError:
    """Anything without a meaning of its own."""
    return ClusterError(f"{answer.server} refused (HTTP {answer.code}): {answer.message}")


BY_CODE: Final[Mapping[int, Callable[[Answer], DLTrainError]]] = {
    400: malformed,
    401: unauthorized,
    403: forbidden,
    404: missing,
    409: conflict,
    410: expired,
    422: invalid,
    429: busy,
}
"""HTTP status -> what it means."""
