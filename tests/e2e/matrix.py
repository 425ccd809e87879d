"""The page of the kill matrix, written from what a run has found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.e2e.faults import FAULTS, MOMENTS

HEAD: Final = """# Kill matrix

What was broken under a training of two workers on the [test cluster](test-cluster.md), when, and what it cost.
`make e2e-chaos` wrote this page; a few of its cells run with every `make e2e`. A cell is in the table only if all
of this held: the job completed; every step was done once, every sample of every epoch used once; each step's loss and
the accuracy were, to the bit, those of an undisturbed run; nothing was left over.

*Back after* is the time from the fault until the state is restored and the next step begins (for faults that last, it
includes them); *steps lost* are those done again. A dash: training was not started again. Out of memory, the kernel
chooses whom it ends: here mostly the process that waits with its imports done for the next attempt, which no rank
notices.

"""


COLUMNS: Final = ("| what | when | attempts | back after | steps lost |", "| --- | --- | --- | --- | --- |")


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one moment."""

    fault: str
    moment: str
    attempts: int
    seconds: float | None
    """From the fault to the restored state."""
    lost: int | None
    """Optimizer steps that were done again."""


def row(cell: Cell) -> str:
    """A line of the table."""
    seconds = "-" if cell.seconds is None else f"{cell.seconds:.1f} s"
    lost = "-" if cell.lost is None else str(cell.lost)
    return f"| {cell.fault} | {cell.moment} | {cell.attempts} | {seconds} | {lost} |"


def write_page(page: Path, cells: Sequence[Cell]) -> None:
    """Write the page; rows of cells that were not run stay as they are.

    Args:
        page: the file.
        cells: what was run.
    """
    rows = {key(line): line for line in (page.read_text().splitlines() if page.exists() else ()) if is_row(line)}
    rows |= {key(line): line for line in map(row, cells)}
    when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {len(rows)} cells.\n\n"
    page.write_text(HEAD + when + "\n".join([*COLUMNS, *sorted(rows.values(), key=place)]) + "\n")


def key(line: str) -> tuple[str, str]:
    """Which cell a line of the table is of."""
    _, fault, moment, *_ = (part.strip() for part in line.split("|"))
    return fault, moment


def is_row(line: str) -> bool:
    """Whether a line of a page is of a cell."""
    return line.startswith("| ") and line not in COLUMNS


def place(line: str) -> tuple[int, int, str]:
    """Where a line stands in the table: by fault, then by moment, in the order of the tests; then the rest."""
    fault, moment = key(line)
    faults, moments = [each.name for each in FAULTS], [*MOMENTS]
    if fault not in faults or moment not in moments:
        return len(faults), 0, fault
    return faults.index(fault), moments.index(moment), fault
