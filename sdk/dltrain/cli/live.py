"""The live display of a local run: a progress line that stays below the ranks' output."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from dltrain.api.channel import GroupStatus
from dltrain.api.progress import Progress
from dltrain.cli.render import progress_line
from dltrain.cli.say import MANNER, in_colour
from dltrain.formatting import metric_text

WORDS: Final = {"gathering": "starting", "ending": "ending", "succeeded": "done", "failed": "failed"}
OVER: Final = ("succeeded", "failed")
SILENT_SECONDS: Final = 60.0
"""How long news of the progress may wait for the next line, where lines are plain."""


class Display:
    """Shows states and lines; plain lines where the output is no terminal.

    Args:
        quiet: leave out the ranks' lines.
        clock: tells the seconds since some moment.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True, no_color=not in_colour())
        # FORCE_COLOR makes the console take a file for a terminal; on a dumb one it would show nothing until the end.
        self._live = sys.stdout.isatty() and self._console.is_terminal and not self._console.is_dumb_terminal
        self._quiet = quiet or MANNER.quiet
        self._clock = clock
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[details]}", markup=False),
        )
        self._bar = Bar(*columns, console=self._console, auto_refresh=True, refresh_per_second=5)
        self._task = self._bar.add_task("starting", total=None, details="")
        self._told: tuple[object, ...] = ()
        self._told_at = 0.0

    def open(self) -> AbstractContextManager[object]:
        """The display, for the length of a block."""
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="replace")  # a letter of a rank that the output does not have is no error
        return self._bar if self._live else nullcontext()

    def line(self, text: str) -> None:
        """A line of output."""
        if not self._quiet:
            self._print(text)

    def status(self, status: GroupStatus) -> None:
        """A state of the run."""
        if self._live:
            self._show(status)
        elif status.progress is not None:
            self._tell(status.progress, over=status.state in OVER)

    def _tell(self, progress: Progress, *, over: bool) -> None:
        """Print how far it is: a new stage, epoch or tenth at once, other news after a while or at the end."""
        milestone = (progress.stage, progress.epoch, progress.percent and progress.percent // 10)
        news = (*milestone, progress.step, progress.loss)
        late = over or self._clock() - self._told_at >= SILENT_SECONDS
        if news[:3] != self._told[:3] or (late and news != self._told):
            self._told, self._told_at = news, self._clock()
            self._print(progress_line(progress, over=over))

    def _print(self, text: str) -> None:
        if self._live:
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
        loss = f"loss {metric_text(progress.loss)}" if progress.loss is not None else ""
        speed = f"{progress.samples_per_second:,.0f}/s" if progress.samples_per_second is not None else ""
        self._bar.update(
            self._task,
            description=f"{progress.stage}{epoch}",
            completed=progress.step or 0,
            total=progress.steps,
            details="  ".join(filter(None, [loss, speed, progress.eta and f"{progress.eta} left"])),
        )
