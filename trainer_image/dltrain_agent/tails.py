"""The last lines of each rank, kept with the artefacts: they outlive the pod."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FOLDER: Final = "logs"
KEPT_ATTEMPTS: Final = 5
"""Of so many attempts, the newest, logs are kept."""


def store_tail(output: Path, attempt: int, rank: int, lines: Sequence[str]) -> None:
    """Write logs/attempt-N/rank-R.log; a storage that refuses is told of in the agent's log.

    Args:
        output: the job's folder.
        attempt: the attempt's number.
        rank: the rank.
        lines: its last lines.
    """
    folder = output / FOLDER / f"attempt-{attempt}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"rank-{rank}.log").write_text("".join(f"{line}\n" for line in lines))
        for old in (output / FOLDER).glob("attempt-*"):
            number = old.name.removeprefix("attempt-")
            if number.isdigit() and int(number) <= attempt - KEPT_ATTEMPTS:
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.warning("the log of rank %d is not kept: %s", rank, error)
