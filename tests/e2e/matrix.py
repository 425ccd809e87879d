"""The page of the kill matrix, written from what a run has found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

HEAD: Final = """# Kill matrix

What was broken under a training of two workers on the [test cluster](test-cluster.md), when, and what it cost.
`make e2e-chaos` wrote this page; a few of its cells run with every `make e2e`. A cell is in the table only if all
of this held: the job completed; every step was done once, every sample of every epoch used once; each step's loss and
the accuracy were, to the bit, those of an undisturbed run; nothing was left over.

*Back after* is the time from the fault until the state is restored and the next step begins (for faults that last, it
includes them); *steps lost* are those done again. A dash: training was not started again.

"""


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
    """Write the page."""
    when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {len(cells)} cells.\n\n"
    table = [
        "| what | when | attempts | back after | steps lost |",
        "| --- | --- | --- | --- | --- |",
        *map(row, cells),
    ]
    page.write_text(HEAD + when + "\n".join(table) + "\n")
