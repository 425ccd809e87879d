"""What an answer of the API server other than success means to the operator."""

from __future__ import annotations

import json
from typing import Final

from dltrain.errors import AlreadyExistsError, ClusterError, NotFoundError, UnavailableError


class RefusedError(ClusterError):
    """The API server calls an object invalid: sending it again is useless."""


class StaleError(ClusterError):
    """The object has changed, or is another one, since it was last seen."""


class WebhookDownError(UnavailableError):
    """An admission webhook does not answer: that may last, and is nothing that looking at the API server shows."""


class GoneError(ClusterError):
    """The API server does not remember so old a version."""


POLICIES: Final = ("admission webhook", "ValidatingAdmissionPolicy '")
"""Who refuses in whatever way it likes, and may do so for a while only: with a registry away, say."""
DOWN: Final = "failed calling webhook"
"""What the API server says where it cannot reach one."""
PLAIN: Final = {404: NotFoundError, 410: GoneError}
"""Statuses that say all by themselves."""


def error_of(status: int, request: str, text: bytes, retry_after: float) -> ClusterError:
    """The exception that an answer other than success means."""
    reason, message = explanation(text)
    sentence = f"{request}: {message or f'HTTP status {status}'}"
    if status in PLAIN:
        return PLAIN[status](sentence)
    if reason == "AlreadyExists":
        return AlreadyExistsError(sentence)
    if status == 409:
        return StaleError(sentence)
    if status in {400, 413, 422} and not any(policy in message for policy in POLICIES):
        return RefusedError(message or sentence)
    if status == 429 or status >= 500:
        return (WebhookDownError if DOWN in message else UnavailableError)(sentence, retry_after)
    return ClusterError(sentence)


def seconds_in(header: str | None) -> float:
    """The delay that a Retry-After header asks for; 0 for none, and for a date, which the API never sends."""
    return float(header) if header is not None and header.isdecimal() else 0.0


def explanation(text: bytes) -> tuple[str, str]:
    """The reason and the message of an answer that is a Status; empty where it is something else."""
    try:
        status = json.loads(text)
    except ValueError:
        return "", text.decode(errors="replace")[:200]
    return str(status.get("reason", "")), str(status.get("message", ""))
