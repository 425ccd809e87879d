"""What the client's verbs ask of the world: each verb is a generator, run by a blocking or an asynchronous driver.

A verb (`Program`) yields effects and is sent their answers; an error of dltrain's own is thrown into it. It knows no
socket, no thread and no event loop, so that every verb is written, and tested, once for both clients.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from dltrain.errors import DLTrainError

T = TypeVar("T")
Query = Mapping[str, str | int | bool]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server."""

    method: str
    path: str
    query: Query = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    kind: str = JSON
    """The media type of the body."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does: reading, and server-side apply."""
        return self.method == "GET" or self.kind == APPLY_PATCH


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request; the answer is its JSON object."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request whose answer goes on; the answer is a stream for `Next` and `Close`."""

    request: Request
    patience: float | None
    """Seconds of silence after which the connection counts as dead; None waits for ever."""


@dataclass(frozen=True, slots=True)
class Next:
    """The next line of a stream, as bytes without its end; None after the last."""

    stream: Any


@dataclass(frozen=True, slots=True)
class Close:
    """Close a stream before its end; all are closed at the end of the program anyway."""

    stream: Any


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Run a function that may block for long; the answer is what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a value to whoever iterates over the program."""

    value: Any


@dataclass(frozen=True, slots=True)
class Fork:
    """Run another program beside this one; what it emits is for `Take`."""

    program: Program[None]


@dataclass(frozen=True, slots=True)
class Take:
    """What the forked programs have emitted; nothing when the time is up. Their errors are raised."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Forked:
    """Whether more may come from the forked programs."""


Effect = Ask | Open | Next | Close | Sleep | Work | Emit | Fork | Take | Forked
Program = Generator[Effect, Any, T]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an effect came to, for the program that asked: a value, or an error."""

    value: Any = None
    error: DLTrainError | None = None

    def to(self, program: Program[Any]) -> Effect:
        """Hand it over; what the program asks next.

        Raises:
            StopIteration: nothing: the program has ended, and this holds what it returned.
        """
        return program.send(self.value) if self.error is None else program.throw(self.error)


def first_of(program: Program[Any], decide: Callable[[Any], T | None]) -> Program[T]:
    """Run a program until what one of its values decides is not None.

    Args:
        program: which emits values and never ends by itself.
        decide: value -> result, or None to go on; may raise.
    """
    answer = Answer()
    while True:
        effect = answer.to(program)
        if isinstance(effect, Emit):
            answer = Answer()
            decided = decide(effect.value)
            if decided is not None:
                program.close()
                return decided
        else:
            answer = yield from performed(effect)


def performed(effect: Effect) -> Generator[Effect, Any, Answer]:
    """Ask for an effect in another program's name; its answer, an error included."""
    try:
        return Answer((yield effect))
    except DLTrainError as error:
        return Answer(error=error)
