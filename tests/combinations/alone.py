"""One rank's jobs: run, exported, stopped and gone on with."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from tests.combinations.drawing import job_of
from tests.combinations.properties import check_ending, check_export, check_same, see
from tests.combinations.running import Ending, Stop, Way, ended, lines_of


def check_alone(document: dict[str, Any], seed: int, folder: Path) -> Ending:
    """See that a job keeps every promise that one rank can keep.

    Args:
        document: of a valid job.
        seed: decides where it is stopped.
        folder: where its outputs go.

    Returns:
        How it has ended, uninterrupted.

    Raises:
        BrokenPromiseError: it does not.
        Exception: it ended as no job is to end.
    """
    shutil.rmtree(folder, ignore_errors=True)
    job = job_of(document)
    whole = ended(job, folder / "whole")
    check_ending(whole)
    if not whole.refused:
        check_export(whole)
        ways: tuple[Way, ...] = ("told", "killed")
        for way in ways:
            if stop := stop_of(seed, way, whole.output):
                check_going_on(whole, document, stop, folder / way)
    return whole


def stop_of(seed: int, way: Way, whole: Path) -> Stop | None:
    """Where a training is stopped; None for one of a single step."""
    steps = len(lines_of(whole / "metrics.jsonl"))
    return Stop(random.Random(f"{seed} {way}").randint(1, steps - 1), way) if steps > 1 else None


def check_going_on(whole: Ending, document: dict[str, Any], stop: Stop, output: Path) -> None:
    """See that a training that was stopped, and gone on with, comes to the same."""
    job = job_of(document)
    first = ended(job, output, stop=stop)
    see(not first.refused, f"stopped at step {stop.step}, it says: {first.refused}")
    if first.stopped:
        second = ended(job, output, attempt=2)
        see(second.done, f"cannot be gone on with after step {stop.step}: {second.refused}")
    check_same(whole.output, output)
