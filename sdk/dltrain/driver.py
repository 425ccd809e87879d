"""Running the client's verbs in the caller's thread; forked programs have threads of their own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final, Protocol, TypeVar

from dltrain.effects import (
    Answer,
    Ask,
    Close,
    Effect,
    Emit,
    Fork,
    Forked,
    Next,
    Open,
    Program,
    Request,
    Sleep,
    Take,
    Work,
)
from dltrain.errors import DLTrainError

T = TypeVar("T")
FULL: Final = 10_000
"""Values of forked programs that wait to be taken before those programs have to wait."""
CHECK_SECONDS: Final = 0.5
"""How long a forked program that must wait takes to notice that nobody wants its values any more."""


class BlockingStream(Protocol):
    """An answer that goes on."""

    def next(self) -> bytes | None:
        """The next line; None after the last."""

    def close(self) -> None:
        """Close the connection."""


class Transport(Protocol):
    """What sends requests."""

    def send(self, request: Request) -> dict[str, Any]:
        """Send a request; its JSON."""

    def open(self, request: Request, patience: float | None) -> BlockingStream:
        """Send a request whose answer goes on."""


class Driver:
    """Runs programs over one transport."""

    def __init__(self, transport: Transport, sleep: Callable[[float], None] = time.sleep) -> None:
        self._transport, self._sleep = transport, sleep

    def run(self, program: Program[T]) -> T:
        """Run a program that emits nothing; what it returns."""
        steps = self.iterate(program)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result

    def iterate(self, program: Program[Any]) -> Generator[Any, None, Any]:
        """Run a program; the values that it emits."""
        return run(program, Scope(self._transport, self._sleep))


def run(program: Program[Any], scope: Scope) -> Generator[Any, None, Any]:
    """The values that a program emits; whatever it has opened and forked ends with it."""
    answer = Answer()
    try:
        while True:
            try:
                effect = answer.to(program)
            except StopIteration as end:
                return end.value
            if isinstance(effect, Emit):
                yield effect.value
                answer = Answer()
            else:
                answer = scope.answer(effect)
    finally:
        program.close()
        scope.close()


class Scope:
    """What one run of a program has open."""

    def __init__(self, transport: Transport, sleep: Callable[[float], None]) -> None:
        self._transport, self._sleep = transport, sleep
        self._streams: list[BlockingStream] = []
        self._branches = Branches(transport)
        self._performers: dict[type[Effect], Callable[[Any], Any]] = {
            Ask: lambda effect: transport.send(effect.request),
            Open: self._open,
            Next: lambda effect: effect.stream.next(),
            Close: self._close,
            Sleep: lambda effect: sleep(effect.seconds),
            Work: lambda effect: effect.function(),
            Fork: lambda effect: self._branches.start(effect.program),
            Take: lambda effect: self._branches.take(effect.seconds),
            Forked: lambda _: self._branches.alive,
        }

    def answer(self, effect: Effect) -> Answer:
        """Perform an effect."""
        try:
            return Answer(self._performers[type(effect)](effect))
        except DLTrainError as error:
            return Answer(error=error)

    def close(self) -> None:
        """Close streams and let forked programs end."""
        for stream in self._streams:
            stream.close()
        self._branches.stop()

    def _open(self, effect: Open) -> BlockingStream:
        stream = self._transport.open(effect.request, effect.patience)
        self._streams.append(stream)
        return stream

    def _close(self, effect: Close) -> None:
        effect.stream.close()
        self._streams.remove(effect.stream)


class StoppedError(Exception):
    """Nobody wants the values of a forked program any more."""


class Branches:
    """The forked programs of a run, each in a thread."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._threads: list[threading.Thread] = []
        self._values: queue.Queue[Any] = queue.Queue(maxsize=FULL)
        self._failed: DLTrainError | None = None
        self._stopped = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether more values may come."""
        running = any(thread.is_alive() for thread in self._threads)  # asked first: the last values come before
        return running or not self._values.empty()

    def start(self, program: Program[None]) -> None:
        """Run one more program."""
        thread = threading.Thread(target=self._run, args=(program,), name="dltrain-branch", daemon=True)
        self._threads.append(thread)
        thread.start()

    def take(self, seconds: float) -> list[Any]:
        """What has been emitted.

        Raises:
            DLTrainError: a program has ended with it, and what came before that was taken.
        """
        values: list[Any] = []
        try:
            while not self._failed and (not values or not self._values.empty()):
                value = self._values.get(timeout=seconds)
                if isinstance(value, DLTrainError):
                    self._failed = value
                else:
                    values.append(value)
        except queue.Empty:
            return values
        if self._failed and not values:
            raise self._failed
        return values

    def stop(self) -> None:
        """Let the programs end."""
        self._stopped.set()

    def _run(self, program: Program[None]) -> None:
        try:
            for value in run(program, Scope(self._transport, self._wait)):
                self._put(value)
        except DLTrainError as error:
            self._put(error)
        except StoppedError:
            return

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError

    def _put(self, value: Any) -> None:
        """Hand a value over.

        Raises:
            StoppedError: to nobody.
        """
        while not self._stopped.is_set():
            try:
                self._values.put(value, timeout=CHECK_SECONDS)
            except queue.Full:
                continue
            return
        raise StoppedError
