"""The live display of a local run: a progress line that stays below the ranks' output."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dltrain.api.channel import GroupStatus
from dltrain.cli.render import progress_line
from dltrain.cli.say import MANNER, in_colour

WORDS: Final = {"gathering": "starting", "ending": "ending", "succeeded": "done", "failed": "failed"}


class Display:
    """Shows states and lines; plain lines where the output is no terminal.

    Args:
        quiet: leave out the ranks' lines.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True, no_color=not in_colour())
        self._quiet = quiet or MANNER.quiet
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[details]}", markup=False),
        )
        self._bar = Progress(*columns, console=self._console, auto_refresh=True, refresh_per_second=5)
        self._task = self._bar.add_task("starting", total=None, details="")
        self._said: tuple[str, int | None, int] | None = None

    def open(self) -> AbstractContextManager[object]:
        """The display, for the length of a block."""
        return self._bar if self._console.is_terminal else nullcontext()

    def line(self, text: str) -> None:
        """A line of output."""
        if not self._quiet:
            self._print(text)

    def status(self, status: GroupStatus) -> None:
        """A state of the run."""
        if self._console.is_terminal:
            self._show(status)
            return
        progress = status.progress
        if progress is None or progress.percent is None:
            return
        milestone = (progress.stage, progress.epoch, progress.percent // 10)
        if milestone != self._said:
            self._said = milestone
            self._print(progress_line(progress))

    def _print(self, text: str) -> None:
        if self._console.is_terminal:
            self._bar.console.print(text)
        else:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def _show(self, status: GroupStatus) -> None:
        progress = status.progress
        if progress is None or status.state != "running":
            self._bar.update(self._task, description=WORDS.get(status.state, "starting"), details="")
            return
        epoch = f" {progress.epoch}/{progress.epochs}" if progress.epoch is not None else ""
        loss = f"loss {progress.loss:.4f}" if progress.loss is not None else ""
        speed = f"{progress.samples_per_second:,.0f}/s" if progress.samples_per_second is not None else ""
        self._bar.update(
            self._task,
            description=f"{progress.stage}{epoch}",
            completed=progress.step or 0,
            total=progress.steps,
            details="  ".join(filter(None, [loss, speed, progress.eta and f"{progress.eta} left"])),
        )
