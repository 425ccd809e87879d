"""`python -m tests.combinations COUNT [SEED]`: random jobs, on one rank and on two; what breaks a promise is told."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch

from dltrain_trainer.distributed.device import rank_device
from tests.combinations.alone import check_alone
from tests.combinations.drawing import drawn
from tests.combinations.shrinking import shrunk
from tests.combinations.sources import Source, sources
from tests.combinations.together import Case, check_together

BATCH: Final = 20
"""Jobs that one start of the ranks runs."""


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wrong_with(document: dict[str, Any], seed: int, folder: Path) -> str:
    """Which promise a job breaks on one rank; empty if it keeps all."""
    try:
        check_alone(document, seed, folder)
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        return traceback.format_exc(limit=-6)
    return ""


def kind_of(wrong: str) -> str:
    """What two findings have in common that are the same."""
    return wrong.strip().splitlines()[-1][:60] if wrong else ""


def tell(seed: int, document: dict[str, Any], wrong: str) -> None:
    """Tell of a finding."""
    say(f"---- seed {seed}\n{document['spec']}\n{wrong}")


def look(seed: int, known: list[Source], folder: Path) -> Case | None:
    """Look at the job of a seed on one rank; what is to be run on several, if it could be done.

    Raises:
        AssertionError: it broke a promise, of which was told.
    """
    document = drawn(seed, known)
    try:
        whole = check_alone(document, seed, folder)
    except Exception:
        wrong = traceback.format_exc(limit=-6)
        kind = kind_of(wrong)
        small = shrunk(document, lambda one: kind_of(wrong_with(one, seed, folder / "small")) == kind)
        tell(seed, small, wrong)
        raise
    return None if whole.refused else Case(seed, document, whole)


def main(count: int, first: int) -> int:
    """Look at the jobs of so many seeds; 1 if one broke a promise."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    rank_device(0)
    found, refused = list[int](), 0
    with tempfile.TemporaryDirectory() as name:
        os.environ["DLTRAIN_CACHE"] = name
        known = sources(Path(name))
        for start in range(first, first + count, BATCH):
            cases = list[Case]()
            for seed in range(start, min(start + BATCH, first + count)):
                try:
                    case = look(seed, known, Path(name) / f"{seed}")
                except Exception:  # noqa: BLE001 - it was told of
                    found.append(seed)
                    continue
                refused += case is None
                cases += [case] if case else []
            found += look_together(cases)
            say(f"{start + BATCH - first} jobs, {refused} refused, findings: {found or 'none'}")
    return 1 if found else 0


def look_together(cases: list[Case]) -> list[int]:
    """Look at jobs on several ranks; the seeds of those that broke a promise."""
    found = []
    by_seed = {case.seed: case for case in cases}
    for backend in ("horovod", "ddp"):
        mine = [case for case in cases if case.document["spec"]["backend"] == backend]
        if backend == "horovod" and find_spec("horovod") is None:
            say(f"{len(mine)} jobs were not run on several ranks: horovod is not installed")
            continue
        for seed, wrong in check_together(mine, backend).items():
            tell(seed, by_seed[seed].document, wrong)
            found.append(seed)
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
