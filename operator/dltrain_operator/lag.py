"""How far the watches are behind: the time from an answer to a write until its event comes."""

from __future__ import annotations

import time
from collections.abc import Callable

from dltrain_operator.records import JobKey, JobRecord


class WatchLag:
    """Compares the answers to this process's own writes with the watch events of them."""

    def __init__(self, observe: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._observe, self._clock = observe, clock
        self._written: dict[JobKey, tuple[int, float]] = {}

    def wrote(self, record: JobRecord) -> None:
        """A write has been answered with this; only the first of several that no event has told of counts."""
        self._written.setdefault(record.key, (record.version, self._clock()))

    def saw(self, record: JobRecord) -> None:
        """A watch event has come."""
        version, at = self._written.get(record.key, (0, 0.0))
        if version and record.version >= version:
            del self._written[record.key]
            self._observe(self._clock() - at)

    def forget(self, key: JobKey) -> None:
        """A job is gone."""
        self._written.pop(key, None)
