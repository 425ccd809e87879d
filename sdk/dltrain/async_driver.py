"""Running the client's verbs in an event loop; forked programs are tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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


class AsyncStream(Protocol):
    """An answer that goes on."""

    async def next(self) -> bytes | None:
        """The next line; None after the last."""

    async def close(self) -> None:
        """Close the connection."""


class AsyncTransport(Protocol):
    """What sends requests."""

    async def send(self, request: Request) -> dict[str, Any]:
        """Send a request; its JSON."""

    async def open(self, request: Request, patience: float | None) -> AsyncStream:
        """Send a request whose answer goes on."""


class AsyncDriver:
    """Runs programs over one transport."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def run(self, program: Program[T]) -> T:
        """Run a program that emits nothing; what it returns."""
        ended: list[T] = []
        async for _ in self._steps(program, ended):
            pass
        return ended[0]

    def iterate(self, program: Program[T]) -> AsyncIterator[Any]:
        """Run a program; the values that it emits."""
        return self._steps(program, [])

    async def _steps(self, program: Program[T], ended: list[T]) -> AsyncIterator[Any]:
        """The values that a program emits; whatever it has opened and forked ends with it."""
        answer, scope = Answer(), AsyncScope(self._transport, self)
        try:
            while True:
                try:
                    effect = answer.to(program)
                except StopIteration as end:
                    ended.append(end.value)
                    return
                if isinstance(effect, Emit):
                    yield effect.value
                    answer = Answer()
                else:
                    answer = await scope.answer(effect)
        finally:
            program.close()
            await scope.close()


class AsyncScope:
    """What one run of a program has open."""

    def __init__(self, transport: AsyncTransport, driver: AsyncDriver) -> None:
        self._transport, self._driver = transport, driver
        self._streams: list[AsyncStream] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._values: asyncio.Queue[Any] = asyncio.Queue(maxsize=FULL)
        self._failed: DLTrainError | None = None
        self._performers: dict[type[Effect], Callable[[Any], Awaitable[Any]]] = {
            Ask: lambda effect: transport.send(effect.request),
            Open: self._open,
            Next: lambda effect: effect.stream.next(),
            Close: self._close,
            Sleep: lambda effect: asyncio.sleep(effect.seconds),
            Work: lambda effect: asyncio.to_thread(effect.function),
            Fork: self._fork,
            Take: self._take,
            Forked: self._forked,
        }

    async def answer(self, effect: Effect) -> Answer:
        """Perform an effect."""
        try:
            return Answer(await self._performers[type(effect)](effect))
        except DLTrainError as error:
            return Answer(error=error)

    async def close(self) -> None:
        """Close streams and end forked programs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams:
            await stream.close()

    async def _open(self, effect: Open) -> AsyncStream:
        stream = await self._transport.open(effect.request, effect.patience)
        self._streams.append(stream)
        return stream

    async def _close(self, effect: Close) -> None:
        self._streams.remove(effect.stream)
        await effect.stream.close()

    async def _fork(self, effect: Fork) -> None:
        self._tasks.append(asyncio.create_task(self._branch(effect.program)))

    async def _branch(self, program: Program[None]) -> None:
        try:
            async for value in self._driver.iterate(program):
                await self._values.put(value)
        except DLTrainError as error:
            await self._values.put(error)

    async def _take(self, effect: Take) -> list[Any]:
        """What has been emitted.

        Raises:
            DLTrainError: a program has ended with it, and what came before that was taken.
        """
        values: list[Any] = []
        if self._failed is None:
            try:
                values.append(await asyncio.wait_for(self._values.get(), effect.seconds))
            except TimeoutError:
                return values
        while not self._values.empty():
            values.append(self._values.get_nowait())
        self._failed = next((value for value in values if isinstance(value, DLTrainError)), self._failed)
        told = [value for value in values if not isinstance(value, DLTrainError)]
        if self._failed is not None and not told:
            raise self._failed
        return told

    async def _forked(self, _: Forked) -> bool:
        return any(not task.done() for task in self._tasks) or not self._values.empty()
