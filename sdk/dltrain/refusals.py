"""What an answer of the Kubernetes API other than success means, in our own exceptions with a remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dltrain.api.wording import PATH, Location, field_names, location_of, problem_of
from dltrain.errors import (
    AlreadyExistsError,
    ClusterError,
    DLTrainError,
    NotFoundError,
    Problem,
    SpecError,
    UnavailableError,
)

VALUE: Final = r'"(?:[^"\\]|\\.)*"|[\[{].*[\]}]|[^\s:]+'
BODY: Final = re.compile(
    rf"(?P<kind>[A-Z][a-z]+(?: [a-z]+)?)(?:: (?P<value>{VALUE})(?=:|$))?(?:: (?P<detail>.+))?", re.DOTALL
)
"""What the API server says of one field: the kind of error, the value found, and the rule in words."""
SCHEMA_RULES: Final = (
    (re.compile(r"should be greater than or equal to (?P<ge>\S+)"), "greater_than_equal"),
    (re.compile(r"should be greater than (?P<gt>\S+)"), "greater_than"),
    (re.compile(r"should be less than or equal to (?P<le>\S+)"), "less_than_equal"),
    (re.compile(r"should be less than (?P<lt>\S+)"), "less_than"),
    (re.compile(r"should match '(?P<pattern>.+)'", re.DOTALL), "string_pattern_mismatch"),
    (re.compile(r"should be at least (?P<min_length>\d+) chars long"), "string_too_short"),
    (re.compile(r"may not be more than (?P<max_length>\d+) bytes?"), "string_too_long"),
    (re.compile(r"should have at least (?P<min_length>\d+) items"), "too_short"),
    (re.compile(r"must have at most (?P<max_length>\d+) items?"), "too_long"),
    (re.compile(r"supported values: (?P<expected>.+)"), "literal_error"),
)
"""How the API server words the rules of a schema, and what our validation calls the same rule."""
SCHEMA_TYPES: Final = {
    "integer": "int_type",
    "number": "float_type",
    "boolean": "bool_type",
    "string": "string_type",
    "object": "dict_type",
    "array": "tuple_type",
    "integer,string": "string_pattern_mismatch",
}
INSTALL: Final = "`kubectl apply -k manifests/` installs dltrain"


class ExpiredError(ClusterError):
    """The point from which a watch was to go on is no longer in the server's history: list anew."""


class BadRequestError(ClusterError):
    """The server takes the request for a wrong one: of a pod's log, its kubelet has none to give."""


class NodeGoneError(NotFoundError):
    """The node that was to be asked is no longer one of the cluster's."""


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
    if answer.subject.startswith("nodes/"):  # nobody asks for a node by its name but the server itself, for a log
        return NodeGoneError(f"{answer.message}; it was removed from the cluster, and the logs of its pods with it")
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
    told = [cause for cause in causes if not is_echo(cause)]
    return SpecError(one_a_field([problem(cause) for cause in told]))


def one_a_field(found: Sequence[tuple[Problem, bool]]) -> list[Problem]:
    """The problems, without those in the server's words of a field for which there are better ones.

    Args:
        found: each problem, and whether it is in words of our own.
    """
    ours = {known.path: known for known, own in reversed(found) if own}
    return list(dict.fromkeys(ours.get(each.path, each) if not own else each for each, own in found))


def is_echo(cause: Mapping[str, Any]) -> bool:
    """Whether a cause only repeats another: that not all was checked, or could be read for the scale subresource."""
    return cause.get("field") == "<nil>" or "accessor error: " in str(cause.get("message", ""))


def problem(cause: Mapping[str, Any]) -> tuple[Problem, bool]:
    """One cause of a refusal, in the words of our own validation where it has them, and whether it has."""
    path, text = str(cause.get("field", "")), str(cause.get("message", ""))
    body = BODY.fullmatch(text)
    if body is None or not PATH.fullmatch(path):
        return Problem(path, text, remedy="correct the value"), False
    location, value, detail = location_of(path), body["value"] or "", body["detail"] or ""
    if body["kind"] == "Required value":
        return problem_of("missing", location, {}, ""), True
    rule = detail.removeprefix(f"{path} in body ")
    known = schema_problem(location, rule, value) or rule_problem(path, rule, value)
    return known or Problem(path, rule or text, value, "correct the value"), known is not None


def schema_problem(location: Location, rule: str, value: str) -> Problem | None:
    """A problem that the API server words in its own way, in our words; None if the words are already ours."""
    if wanted := re.match(r"must be of type ([\w,]+)", rule):
        found = value.strip('"')
        return problem_of(SCHEMA_TYPES.get(wanted[1], ""), location, {"msg": rule}, f"a value of type {found}")
    for pattern, kind in SCHEMA_RULES:
        if told := pattern.fullmatch(rule):
            return problem_of(
                kind, location, {name: in_single_quotes(text) for name, text in told.groupdict().items()}, value
            )
    return None


def in_single_quotes(words: str) -> str:
    """A list of words in double quotes, written as our own validation does: numbers without any."""
    quoted = re.findall(r'"([^"]*)"', words)
    return " or ".join(word if word.isdecimal() else f"'{word}'" for word in quoted) or words


def rule_problem(path: str, text: str, value: str) -> Problem | None:
    """A problem that the CustomResourceDefinition words as our validation does; None for other people's words."""
    rule, found, remedy = text.partition("; ")
    told = re.fullmatch(r"(?P<rule>.*) \(got (?P<value>.*)\)", rule, re.DOTALL)
    parts = (told["rule"], told["value"]) if told else (rule, value)
    return Problem(path, *parts, remedy) if found else None


def malformed(answer: Answer) -> DLTrainError:
    """The server cannot do what is asked; or decode the object: strictly, so that no field is dropped in silence."""
    fields = re.findall(r'unknown field "([^"]+)"', answer.message)
    return SpecError([unknown_field(path) for path in fields]) if fields else BadRequestError(in_words(answer))


def unknown_field(path: str) -> Problem:
    """A field that the cluster does not know; perhaps nobody does."""
    location = location_of(path)
    if location[-1] not in field_names(location[:-1]):
        return problem_of("extra_forbidden", location, {}, "")
    remedy = f"the cluster has an older dltrain: upgrade it ({INSTALL}), or remove the field"
    return Problem(path, "is not a field that the cluster knows", remedy=remedy)


def busy(answer: Answer) -> UnavailableError:
    """The server cannot answer now."""
    return UnavailableError(
        f"{answer.server} cannot answer now: {answer.message}; try again in a moment", answer.retry_after_seconds
    )


def other(answer: Answer) -> ClusterError:
    """Anything without a meaning of its own."""
    return ClusterError(in_words(answer))


def in_words(answer: Answer) -> str:
    """An answer that has no remedy."""
    return f"{answer.server} refused (HTTP {answer.code}): {answer.message}"


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
