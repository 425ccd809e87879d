"""Telling the job how far a rank is; works the same in a pod, in a local run and, doing nothing, outside of both."""

from __future__ import annotations

import os
import socket
import time
from typing import Final, SupportsFloat

from dltrain.api.report import MAX_REPORT_BYTES, CheckpointReport, ProgressReport, ResultsReport
from dltrain.names import RANK_VARIABLE, REPORT_VARIABLE

INTERVAL_SECONDS: Final = 0.2
"""Progress reports that follow one another faster are dropped, but for the last step of all."""
SURE_SECONDS: Final = 10.0
"""How long a report that must arrive waits for an agent that is busy."""


class Reporter:
    """The sending side of a rank's report socket."""

    def __init__(self, address: str | None, rank: int) -> None:
        self.rank = rank
        self._address = address or ""
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_UNIX, kind) if address else None
        self._last = -INTERVAL_SECONDS

    @property
    def connected(self) -> bool:
        """Whether there is an agent to report to."""
        return self._socket is not None

    def progress(self, report: ProgressReport) -> None:
        """Send progress if the last was sent a while ago; never blocks, never raises."""
        now = time.monotonic()
        last_step = report.step is not None and report.step == report.total
        if now - self._last >= INTERVAL_SECONDS or last_step:
            self._last = now
            self._send(report, timeout=0)

    def surely(self, report: CheckpointReport | ResultsReport) -> None:
        """Send a report that the job's outcome needs; waits for a busy agent, at most SURE_SECONDS."""
        self._send(report, timeout=SURE_SECONDS)

    def _send(self, report: ProgressReport | CheckpointReport | ResultsReport, timeout: float) -> None:
        if self._socket is None:
            return
        data = report.model_dump_json(by_alias=True, exclude_none=True).encode()
        assert len(data) <= MAX_REPORT_BYTES, f"a report of {len(data)} bytes"
        self._socket.settimeout(timeout)
        try:
            self._socket.sendto(data, self._address)
        except OSError:  # the agent is going away, or is behind: training does not care
            return

    def close(self) -> None:
        """Release the socket."""
        if self._socket is not None:
            self._socket.close()


_reporter: Reporter | None = None


def reporter() -> Reporter:
    """The reporter of this process, made from its environment on first use."""
    global _reporter  # noqa: PLW0603 - one socket a process, as the environment is one
    if _reporter is None:
        _reporter = Reporter(os.environ.get(REPORT_VARIABLE), int(os.environ.get(RANK_VARIABLE, "0")))
    return _reporter


def report(*, step: int | None = None, total: int | None = None, loss: SupportsFloat | None = None) -> None:
    """Report progress from a script of one's own; cheap enough to call at every step.

    Shown by `kubectl get dltj`, `dltrain status` and `dltrain run`, for the lowest rank that reports.

    Args:
        step: steps done.
        total: steps in all.
        loss: the newest training loss; a tensor or array of one element does, too.
    """
    mine = reporter()
    if not mine.connected:
        return
    number = None if loss is None else float(loss)
    mine.progress(ProgressReport(rank=mine.rank, step=step, total=total, loss=number))
