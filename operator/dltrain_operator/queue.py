"""The queue of jobs to look at: each at most once in it, each looked at by one worker at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from dltrain.errors import ClusterError, UnavailableError
from dltrain_operator.clock import utc_now
from dltrain_operator.logs import current_job
from dltrain_operator.metrics import Metrics
from dltrain_operator.records import JobKey

log = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.05
"""Seconds before a failed step is tried again; doubled with every failure in a row."""
LONGEST_DELAY: Final = 30.0

Step = Callable[[JobKey], Awaitable[datetime | None]]
"""Looks at one job; returns when to look again, if nothing happens before."""


class WorkQueue:
    """Calls a step for every job that was added, soon, and never twice at one time for one job.

    A job added while it waits is looked at once; added while it is being looked at, once more afterwards. A step that
    fails is tried again, after delays that grow.
    """

    def __init__(
        self, step: Step, workers: int, metrics: Metrics | None = None, clock: Callable[[], datetime] = utc_now
    ) -> None:
        """Prepare to work.

        Args:
            step: what to do about a job.
            workers: how many jobs are looked at at one time.
            metrics: where looks and their errors are counted.
            clock: the time of day.
        """
        self._step, self._workers, self._clock = step, workers, clock
        self._metrics = metrics or Metrics()
        self._ready: asyncio.Queue[JobKey] = asyncio.Queue()
        self._waiting: set[JobKey] = set()
        self._active: dict[JobKey, float] = {}
        self._again: set[JobKey] = set()
        self._timers: dict[JobKey, asyncio.TimerHandle] = {}
        self._failures: dict[JobKey, int] = {}

    def add(self, key: JobKey) -> None:
        """Look at a job as soon as possible."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: JobKey, seconds: float) -> None:
        """Look at a job after a delay; of several delays of one job, the earliest counts."""
        loop = asyncio.get_running_loop()
        due, timer = loop.time() + seconds, self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._ring, key)

    @property
    def depth(self) -> int:
        """How many jobs wait to be looked at."""
        return len(self._waiting)

    @property
    def longest_look(self) -> float:
        """For how many seconds the longest look under way has taken."""
        return time.monotonic() - min(self._active.values(), default=time.monotonic())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._workers):
                tasks.create_task(self._work())

    def _ring(self, key: JobKey) -> None:
        del self._timers[key]
        self.add(key)

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._active[key] = time.monotonic()
            try:
                await self._look_at(key)
            finally:
                del self._active[key]
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _look_at(self, key: JobKey) -> None:
        current_job.set("/".join(key))
        try:
            with self._metrics.steps.time():
                again_at = await self._step(key)
        except ClusterError as error:
            self._metrics.errors.labels(type(error).__name__).inc()
            delay = self._next_delay(key, error)
            log.warning("%s/%s: %s; again in %.2g s", *key, error, delay)
            self.add_later(key, delay)
        except Exception:  # a defect that one job reveals must not stop the others
            self._metrics.errors.labels("defect").inc()
            log.exception("%s/%s: failed", *key)
            self.add_later(key, LONGEST_DELAY)
        else:
            self._failures.pop(key, None)
            if again_at is not None:
                self.add_later(key, (again_at - self._clock()).total_seconds())

    def _next_delay(self, key: JobKey, error: ClusterError) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        asked = error.retry_after_seconds if isinstance(error, UnavailableError) else 0.0
        return max(asked, min(FIRST_DELAY * 2.0 ** min(failures - 1, 32), LONGEST_DELAY))
