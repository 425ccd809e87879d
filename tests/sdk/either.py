"""Both clients behind one face, so that a claim about verbs is tested of both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from dltrain.async_client import AsyncClient


class Blocking:
    """An AsyncClient used as a Client: each call runs an event loop until it is answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = AsyncClient(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.client, name)
        return self._blocking(verb) if callable(verb) else verb

    def _blocking(self, verb: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            made = verb(*arguments, **options)
            return self.loop.run_until_complete(made) if inspect.isawaitable(made) else self._each(made)

        return call

    def _each(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        async def advance() -> Any:
            return await anext(values)

        try:
            while True:
                try:
                    yield self.loop.run_until_complete(advance())
                except StopAsyncIteration:
                    return
        finally:
            self.loop.run_until_complete(values.aclose())  # type: ignore[attr-defined]  # it is a generator

    def end(self) -> None:
        """Close what is open."""
        self.loop.run_until_complete(self.client.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
