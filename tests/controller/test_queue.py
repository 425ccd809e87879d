"""The queue: every job once, one worker a job, growing delays after failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from dltrain.errors import ClusterError, UnavailableError
from dltrain_operator.queue import WorkQueue
from dltrain_operator.records import JobKey
from tests.controller.builders import NOW, later

A, B = JobKey("ml", "a"), JobKey("ml", "b")


class Steps:
    """A step that records its calls, and waits in them until it is let go."""

    def __init__(self) -> None:
        self.begun: list[JobKey] = []
        self.news = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.answers: list[datetime | Exception | None] = []

    async def __call__(self, key: JobKey) -> datetime | None:
        self.begun.append(key)
        self.news.set()
        await self.go.wait()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that a call may bring about."""
        while not holds():
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)


@asynccontextmanager
async def working(steps: Steps, workers: int = 4) -> AsyncIterator[WorkQueue]:
    """A queue at work; it sees the time as NOW."""
    queue = WorkQueue(steps, workers, clock=lambda: NOW)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.wait([task])


async def test_a_job_added_twice_is_looked_at_once() -> None:
    steps = Steps()
    async with working(steps, workers=1) as queue:
        for key in (A, A, B, A):
            queue.add(key)
        await steps.until(lambda: len(steps.begun) == 2)
    assert steps.begun == [A, B]


async def test_a_job_added_while_it_is_looked_at_is_looked_at_again_but_never_twice_at_one_time() -> None:
    steps = Steps()
    steps.go.clear()
    async with working(steps) as queue:
        queue.add(A)
        await steps.until(lambda: steps.begun == [A])
        queue.add(A)
        queue.add(A)
        queue.add(B)
        await steps.until(lambda: steps.begun == [A, B])
        steps.go.set()
        await steps.until(lambda: len(steps.begun) == 3)
    assert steps.begun == [A, B, A]


async def test_a_step_says_when_to_look_again() -> None:
    steps = Steps()
    steps.answers = [later(0.01)]
    async with working(steps) as queue:
        queue.add(A)
        await steps.until(lambda: len(steps.begun) == 2)


async def test_of_several_delays_the_earliest_counts() -> None:
    steps = Steps()
    async with working(steps) as queue:
        queue.add_later(A, 3600)
        queue.add_later(A, 0.01)
        queue.add_later(A, 7200)
        await steps.until(lambda: steps.begun == [A])


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ClusterError("conflict"), id="the cluster refuses"),
        pytest.param(UnavailableError("busy", retry_after_seconds=0.02), id="the cluster asks to wait"),
    ],
)
async def test_a_failed_step_is_tried_again(failure: ClusterError, caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    steps.answers = [failure, failure]
    async with working(steps) as queue:
        queue.add(A)
        await steps.until(lambda: len(steps.begun) == 3)
    assert [record.levelno for record in caplog.records if record.name == "dltrain_operator.queue"] == [
        logging.WARNING
    ] * 2


@pytest.mark.parametrize(
    ("failures", "error", "delay"),
    [
        pytest.param(1, ClusterError("no"), 0.05, id="first"),
        pytest.param(4, ClusterError("no"), 0.4, id="fourth"),
        pytest.param(200, ClusterError("no"), 30.0, id="capped"),
        pytest.param(1, UnavailableError("busy", retry_after_seconds=45), 45.0, id="as long as asked"),
    ],
)
async def test_delays_grow_with_failures_in_a_row(failures: int, error: ClusterError, delay: float) -> None:
    queue = WorkQueue(Steps(), 1)
    assert [queue._next_delay(A, error) for _ in range(failures)][-1] == delay


async def test_a_defect_in_one_job_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    steps.answers = [ZeroDivisionError("a defect")]
    async with working(steps, workers=1) as queue:
        queue.add(A)
        queue.add(B)
        await steps.until(lambda: steps.begun == [A, B])
    assert "ml/a: failed" in caplog.text
