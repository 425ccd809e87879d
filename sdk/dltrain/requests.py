"""Asking the API server: for JSON, again where that cannot do anything twice; for lists, page by page; for streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from dltrain.effects import Ask, Close, Open, Program, Query, Request, Sleep
from dltrain.errors import DLTrainError, UnavailableError
from dltrain.refusals import ExpiredError

T = TypeVar("T")

PAUSES: Final = (0.1, 0.3, 0.6)
"""Seconds before a request is sent again: enough for a dropped connection or a fail-over, too short to be noticed."""
PAGE: Final = 500
"""Objects in one answer to a list."""


def ask(request: Request) -> Program[dict[str, Any]]:
    """Ask for JSON.

    Sent again, for about a second, only where that cannot do anything twice: what merely reads or applies, and what
    the server put off unseen.

    Raises:
        DLTrainError: one of its kinds, as `dltrain.refusals` tells.
    """
    for pause in PAUSES:
        try:
            answer: dict[str, Any] = yield Ask(request)
        except UnavailableError as error:
            if not request.repeatable and not error.retry_after_seconds:
                raise
            yield Sleep(max(pause, error.retry_after_seconds))
        else:
            return answer
    last: dict[str, Any] = yield Ask(request)
    return last


def ask_for_list(path: str, query: Query) -> Program[dict[str, Any]]:
    """Ask for a list, in pages: as one list, with the version of its first page.

    Begins anew where the server forgets what the pages are of before the last one was asked for.

    Raises:
        DLTrainError: as in ask.
    """
    while True:
        first = Request("GET", path, {**query, "limit": PAGE})
        try:
            answer = page = yield from ask(first)
            items = list(page["items"])
            while token := page["metadata"].get("continue"):
                page = yield from ask(replace(first, query={**first.query, "continue": token}))
                items += page["items"]
        except ExpiredError:
            continue
        return {"metadata": answer["metadata"], "items": items}


def reading(request: Request, patience: float | None, read: Callable[[Any], Program[T]]) -> Program[T]:
    """Open a stream, read it, and close it whatever happens to it.

    Args:
        request: whose answer goes on.
        patience: seconds of silence after which the connection counts as dead; None waits for ever.
        read: stream -> what reads it.

    Raises:
        DLTrainError: as in ask; UnavailableError also when the connection breaks.
    """
    stream = yield Open(request, patience)
    try:
        result = yield from read(stream)
    except DLTrainError:
        yield Close(stream)
        raise
    yield Close(stream)
    return result
