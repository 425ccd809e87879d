"""What the API server tells of some objects, each with the time of its arrival on this machine's clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain.connection import Connection
from dltrain.errors import DLTrainError
from tests.bench.failure import BenchFailure

WATCH_SECONDS: Final = 900
"""Longer than any benchmark that uses a timeline."""
BEGIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One watch event."""

    at: float
    """When it arrived, in seconds since the epoch."""
    change: str
    """ADDED, MODIFIED or DELETED."""
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])

    def has_condition(self, *types: str) -> bool:
        """Whether one of these conditions is true of the object."""
        return any(has_condition(self.body, each) for each in types)


class Timeline:
    """Watches collections of objects, each in a thread of its own, for as long as the process or the cluster lives."""

    def __init__(self, connection: Connection, paths: Sequence[str]) -> None:
        """Watch some collections; returns once events come.

        Raises:
            BenchFailure: a watch does not begin.
        """
        self.sightings: list[Sighting] = []
        self._news = threading.Condition()
        self._trouble = ""
        for path in paths:
            begun = threading.Event()
            threading.Thread(target=self._follow, args=(connection, path, begun), daemon=True).start()
            if not begun.wait(BEGIN_SECONDS) or self._trouble:
                raise BenchFailure(f"the watch of {path} did not begin: {self._trouble or 'no answer'}")

    def first(self, what: str, holds: Callable[[Sighting], bool], seconds: float) -> Sighting:
        """The first sighting of which something holds, those of the past included; waits for it.

        Args:
            what: is waited for, in words.
            holds: whether a sighting is the one.
            seconds: how long to wait.

        Raises:
            BenchFailure: there was none in time, or the watch broke.
        """
        end, seen = time.monotonic() + seconds, 0
        while fresh := self._since(seen, end - time.monotonic(), what):
            seen += len(fresh)
            for sighting in fresh:
                if holds(sighting):
                    return sighting
        raise BenchFailure(f"gave up waiting {seconds:g} s for {what}")

    def _since(self, seen: int, seconds: float, what: str) -> list[Sighting]:
        """The sightings after some, as soon as there are any; none if none came within some time."""
        with self._news:
            self._news.wait_for(lambda: len(self.sightings) > seen or self._trouble, seconds)
            if self._trouble:
                raise BenchFailure(f"waiting for {what}: {self._trouble}")
            return self.sightings[seen:]

    def _follow(self, connection: Connection, path: str, begun: threading.Event) -> None:
        try:
            query = {"watch": True, "timeoutSeconds": WATCH_SECONDS}
            with connection.stream(path, query, WATCH_SECONDS) as lines:
                begun.set()
                for line in lines:
                    self._add(time.time(), json.loads(line))
            self._fail(f"the watch of {path} ended")
        except DLTrainError as error:
            self._fail(f"the watch of {path} broke: {error}")
        finally:
            begun.set()

    def _add(self, at: float, event: dict[str, Any]) -> None:
        with self._news:
            self.sightings.append(Sighting(at, event["type"], event["object"]))
            self._news.notify_all()

    def _fail(self, trouble: str) -> None:
        with self._news:
            self._trouble = trouble
            self._news.notify_all()


def has_condition(body: dict[str, Any], name: str) -> bool:
    """Whether a condition is true of an object."""
    conditions = body.get("status", {}).get("conditions") or ()
    return any(one["type"] == name and one["status"] == "True" for one in conditions)
