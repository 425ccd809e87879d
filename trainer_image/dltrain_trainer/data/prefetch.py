"""Items made ahead of their use by a thread of its own, in a ring of rooms that are used again and again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

Place = TypeVar("Place")
Room = TypeVar("Room")
Item = TypeVar("Item")

STOP_SECONDS: Final = 60.0
"""The longest that the item under way may take once nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The producer has ended with an error."""

    error: BaseException


class Ended:
    """The producer has made everything."""


class Prefetcher(Generic[Place, Room, Item]):
    """An iterator over items that a thread makes, in order.

    Use it in a `with` block: the thread starts with it and is gone after it. An item may be used until the next one is
    asked for; its room is then used again. An error of the producer is raised where its item would have come, with its
    own traceback; nothing comes after it. Items depend on their place only, so that going on from any place is exact.
    """

    def __init__(self, make: Callable[[Place, Room], Item], places: Iterable[Place], rooms: Sequence[Room]) -> None:
        """The iterator; nothing is made yet.

        Args:
            make: makes the item of a place in a room; called by the thread only.
            places: what to make, in order.
            rooms: one is in the consumer's hands, all others hold what was made ahead; at least two.
        """
        assert len(rooms) >= 2, "with one room nothing is made ahead"
        self.waited = 0.0
        """Seconds that the consumer has waited for items so far."""
        self._make, self._places = make, places
        self._free: queue.SimpleQueue[Room | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Room, Item] | Failed | Ended] = queue.SimpleQueue()
        self._used: Room | None = None
        self._stopped = threading.Event()
        self._over = False
        for room in rooms:
            self._free.put(room)
        self._thread = threading.Thread(target=self._produce, name="prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._over:
            raise StopIteration
        if self._used is not None:
            self._free.put(self._used)
            self._used = None
        start = time.perf_counter()
        got = self._done.get()
        self.waited += time.perf_counter() - start
        if isinstance(got, tuple):
            self._used, item = got
            return item
        self._over = True
        if isinstance(got, Failed):
            raise got.error
        raise StopIteration

    def stop(self) -> None:
        """End the thread and wait for it; there are no more items.

        Raises:
            TimeoutError: it is stuck in an item.
        """
        self._over = True
        self._stopped.set()
        self._free.put(None)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"a batch was not made within {STOP_SECONDS:g} seconds; is the storage stuck?")

    def _produce(self) -> None:
        try:
            for place in self._places:
                room = self._free.get()
                if room is None or self._stopped.is_set():
                    return
                self._done.put((room, self._make(place, room)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the consumer must hear of it
            self._done.put(Failed(error))
        else:
            self._done.put(Ended())
