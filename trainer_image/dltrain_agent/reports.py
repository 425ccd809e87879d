"""What the ranks of this worker report: progress, checkpoints and results."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from dltrain.api.progress import Progress
from dltrain.api.report import MAX_REPORT_BYTES, REPORT, CheckpointReport, ProgressReport, Report, ResultsReport
from dltrain.api.status import CheckpointStatus, Results
from dltrain.curve import extended
from dltrain.durations import short_duration

CURVED: Final = frozenset({"train", "command"})
"""The stages whose losses make up the curve; later ones leave it as it is."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reported:
    """The newest of each kind of report."""

    rank: int | None = None
    """The rank whose progress is shown: the lowest that reports."""
    progress: Progress | None = None
    checkpoint: CheckpointStatus | None = None
    results: Results | None = None


def fold(known: Reported, report: Report, now: datetime, uri: Callable[[str], str]) -> Reported:
    """What is known after a report.

    Args:
        known: what was known before.
        report: the report.
        now: when it came.
        uri: turns a path of this worker's into an address that means something outside of it.
    """
    match report:
        case ProgressReport(rank=rank) if known.rank is None or rank <= known.rank:
            return replace(known, rank=rank, progress=progress_of(report, now, known.progress))
        case CheckpointReport(step=step, path=path):
            return replace(known, checkpoint=CheckpointStatus(step=step, time=now, uri=uri(path)))
        case ResultsReport(results=results):
            artifacts = uri(results.artifacts) if results.artifacts else None
            return replace(known, results=results.model_copy(update={"artifacts": artifacts}))
        case _:
            return known


def progress_of(report: ProgressReport, now: datetime, before: Progress | None = None) -> Progress:
    """A rank's report as the status shows it.

    Args:
        report: the report.
        now: when it came.
        before: the progress before it.
    """
    losses = before.losses if before else ()
    if report.stage in CURVED:
        losses = extended(losses, report.step, report.total, report.loss)
    percent = min(100, 100 * report.step // report.total) if report.step is not None and report.total else None
    return Progress(
        stage=report.stage,
        epoch=report.epoch,
        epochs=report.epochs,
        step=report.step,
        steps=report.total,
        percent=percent,
        summary="" if percent is None else f"{percent}%",
        loss=report.loss,
        losses=losses,
        samples_per_second=report.samples_per_second,
        time_split=report.time_split,
        stragglers=report.stragglers,
        ranks=report.ranks,
        bandwidth=report.bandwidth or (before.bandwidth if before else None),
        eta=None if report.eta_seconds is None else short_duration(report.eta_seconds),
        time=now,
    )


class ReportServer:
    """The datagram socket that ranks report to."""

    def __init__(self, address: Path, on_report: Callable[[Report, datetime], None]) -> None:
        self.address = address
        self._on_report = on_report
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(str(address))
        self._loop.add_reader(self._socket, self.receive)

    def receive(self) -> None:
        """Take every report that waits; a rank's exit is handled after the reports it sent before."""
        while True:
            try:
                data = self._socket.recv(MAX_REPORT_BYTES)
            except BlockingIOError:
                return
            try:
                self._on_report(REPORT.validate_json(data), datetime.now(UTC))
            except ValidationError as error:
                log.warning("dropped a malformed report of %d bytes: %s", len(data), error.errors()[0]["msg"])

    def close(self) -> None:
        """Stop receiving."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
