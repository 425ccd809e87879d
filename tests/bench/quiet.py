"""What the operator writes while nothing happens: jobs that have finished, and jobs that go on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from dltrain.client import Client
from tests.bench.contender import dltrain_job
from tests.cluster.host import wait_for
from tests.e2e.live import Space

FINISHED: Final = 20
RUNNING: Final = 5
SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 15.0
"""What is left to say of the start of a job is said in the operator's next write, at most 10 s later."""
JOB_SECONDS: Final = 120.0
GOES_ON: Final = """
import itertools, time
import dltrain
for step in itertools.count(1):
    dltrain.report(step=step, loss=1 / step)
    time.sleep(0.5)
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, in seconds since the epoch."""

    begin: float
    end: float


def be_quiet(space: Space) -> Span:
    """Have FINISHED finished and RUNNING running jobs, and let some time pass; when that was."""
    client = space.client
    space.apply(*(dltrain_job(f"done-{index}", replicas=1) for index in range(FINISHED)))
    await_all(client, "done", FINISHED, lambda status: status.is_true("Complete"))
    space.apply(*(dltrain_job(f"steady-{index}", ["python3", "-c", GOES_ON]) for index in range(RUNNING)))
    await_all(client, "steady", RUNNING, lambda status: status.phase == "Running" and status.progress is not None)
    time.sleep(SETTLE_SECONDS)
    begin = time.time()
    time.sleep(SECONDS)
    return Span(begin, time.time())


def await_all(client: Client, prefix: str, count: int, holds: Any) -> None:
    """Wait until something holds of the status of all jobs of a kind."""

    def all_hold() -> bool:
        jobs = [job for job in client.list() if job.name.startswith(f"{prefix}-")]
        return len(jobs) == count and all(holds(job.status) for job in jobs)

    wait_for(f"{count} jobs to be {prefix}", all_hold, JOB_SECONDS, pause=0.5)
