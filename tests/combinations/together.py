"""The same jobs on several ranks of real MPI, which must come to what one rank has come to."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.combinations.alone import stop_of
from tests.combinations.properties import check_alike, check_ending, check_same, depends_on_ranks, see
from tests.combinations.ranks import JOB, STOP
from tests.combinations.running import Ending
from tests.trainer.mpi import ranks_of

SIZE: Final = 2
START_SECONDS: Final = 120
JOB_SECONDS: Final = 60
"""How long a job may take before it counts as hanging."""


@dataclass(frozen=True, slots=True)
class Case:
    """A job that one rank has done."""

    seed: int
    document: dict[str, Any]
    alone: Ending

    @property
    def folder(self) -> Path:
        """Where the ranks' outputs go."""
        return self.alone.output.parent / "ranks"


def check_together(cases: Sequence[Case], backend: str) -> dict[int, str]:
    """Run jobs on several ranks, one after the other; what is wrong, by seed."""
    for case in cases:
        prepare(case)
    wrong, left = dict[int, str](), list(cases)
    while left:
        output = run_ranks(left, backend)
        told = [told_of(case) for case in left]
        count = next((index for index, each in enumerate(told) if not each["done"]), len(left))
        for case in left[:count]:
            try:
                check_case(case)
            except AssertionError as error:
                wrong[case.seed] = f"{SIZE} ranks: {error}"
        if count < len(left) and (said := why_not(left[count], told[count]["said"], output)):
            wrong[left[count].seed] = said
        left = left[count + 1 :]
    return wrong


def prepare(case: Case) -> None:
    """Tell the ranks what to run, and when to stop; half of the jobs are told to end, the others killed."""
    case.folder.mkdir(parents=True)
    (case.folder / JOB).write_text(json.dumps(case.document))
    lot = random.Random(f"{case.seed} ranks")
    stop = stop_of(case.seed, lot.choice(["told", "killed"]), case.alone.output)
    if stop:
        plan = {"step": stop.step, "way": stop.way, "rank": lot.randrange(SIZE)}
        (case.folder / STOP).write_text(json.dumps(plan))


def run_ranks(cases: Sequence[Case], backend: str) -> str:
    """Start the ranks and wait until they end, or take too long; what they print."""
    command, environment = ranks_of("tests.combinations.ranks", SIZE, backend, *(case.folder for case in cases))
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=START_SECONDS + JOB_SECONDS * len(cases))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # mpirun ends its ranks
        output, _ = process.communicate()
    return output.decode(errors="replace")


def told_of(case: Case) -> Mapping[str, Any]:
    """What the ranks have left of a job: whether all are done, and what one has said that is not."""
    found = [json.loads(file.read_text()) for file in sorted(case.folder.glob("rank-*.json"))]
    said = [each["said"] for each in found if not each["done"]]
    return {"done": len(found) == SIZE and not said, "said": said[0] if said else ""}


def why_not(case: Case, said: str, output: str) -> str:
    """What is wrong with a job that the ranks did not do."""
    if not said:
        return f"{SIZE} ranks: hang, or end without a word\n{output[-2000:]}"
    return f"{SIZE} ranks: {said}" if "Traceback" in said or "spec." not in said else ""


def check_case(case: Case) -> None:
    """See that several ranks keep every promise about a job that they have done.

    Raises:
        BrokenPromiseError: they do not.
    """
    together = Ending(case.alone.run, case.folder / "whole")
    check_ending(together)
    if (case.folder / STOP).exists():
        check_same(case.folder / "whole", case.folder / "stopped")
    see((together.output / "results.json").exists(), "there are no results")
    if not depends_on_ranks(case.alone):
        check_alike(case.alone, together)
