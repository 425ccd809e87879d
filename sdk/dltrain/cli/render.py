"""What people see of a job, pure: models to text and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain.api.status import Failure, JobStatus, Results
from dltrain.cli.compression import compression_table
from dltrain.curve import sparkline
from dltrain.durations import short_duration
from dltrain.events import ClusterEvent
from dltrain.formatting import metrics_line
from dltrain.local import LocalResult
from dltrain.story import often

COLUMNS: Final = ("NAME", "PHASE", "WORKERS", "STAGE", "PROGRESS", "LOSS", "ETA", "RESTARTS", "AGE")
DATA_WAIT_SHOWN: Final = 0.1
"""The share of its time that a job waits for data, above which it is worth a word."""
EVENT_COLUMNS: Final = ("AGE", "KIND", "ABOUT", "REASON", "MESSAGE")
BAR_WIDTH: Final = 30


def table(jobs: Sequence[DLTrainJob], now: datetime, *, everywhere: bool = False) -> str:
    """Jobs as a table, as `kubectl get dltj` has it; with their namespaces if they are of several."""
    rows = [COLUMNS, *(row(job, now) for job in jobs)]
    if everywhere:
        rows = [
            (place, *each) for place, each in zip(["NAMESPACE", *(job.namespace for job in jobs)], rows, strict=True)
        ]
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def row(job: DLTrainJob, now: datetime) -> tuple[str, ...]:
    """A job's line in the table."""
    status, progress = job.status, job.status.progress or Progress()
    loss = "" if progress.loss is None else f"{progress.loss:.4g}"
    left = "" if status.finished else progress.eta or ""
    cells = (status.workers.summary, progress.stage, progress.summary, loss, left)
    return (job.name, status.phase or "", *cells, str(status.restarts.total), age(job, now))


def age(job: DLTrainJob, now: datetime) -> str:
    """How long ago a job was created."""
    return since(job.metadata.creation_timestamp, now)


def since(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was; nothing for none."""
    return "" if moment is None else short_duration(max(0.0, (now - moment).total_seconds()))


def screen(job: DLTrainJob, now: datetime | None = None) -> str:
    """Everything about a job, on one screen."""
    now = now or datetime.now(UTC)
    status = job.status
    workers = "" if status.finished or not status.phase else f"{status.workers.ready} of {status.workers.desired} ready"
    text = labelled(
        [
            ("Job", f"{job.namespace}/{job.name}"),
            ("Phase", phase(status)),
            ("Workers", workers),
            ("Attempt", f"{status.attempt}{restarts(status)}" if status.attempt else ""),
            ("Progress", progress_line(status.progress, over=status.finished)),
            ("Loss", curve_line(status.progress)),
            ("Checkpoint", f"step {status.checkpoint.step}, {status.checkpoint.uri}" if status.checkpoint else ""),
            *results_lines(status.results),
            ("Ran for", ran_for(status, now)),
            ("Age", age(job, now)),
        ]
    )
    title = "Failure" if status.phase == "Failed" else "Last failure"
    rows = compression_table(status.results.compression) if status.results else ""
    blocks = (text, rows, failure_text(status.failure, title) if status.failure else "")
    return "\n\n".join(filter(None, blocks))


def phase(status: JobStatus) -> str:
    """The phase, and why, unless the failure says so."""
    if status.phase is None:
        return "unknown - no operator has taken it up yet"
    refused = status.condition("Accepted") if not status.is_true("Accepted") else None
    holding = (each for each in status.conditions if each.status == "True" and each.type != "Accepted")
    why = refused or next(holding, status.condition("Running"))  # of a job that waits, Running says for what
    told_below = status.phase == "Failed" and status.failure is not None
    return status.phase if why is None or not why.message or told_below else f"{status.phase} - {why.message}"


def ran_for(status: JobStatus, now: datetime) -> str:
    """How long the job has run since it first asked for pods."""
    if status.start_time is None or status.phase == "Suspended":
        return ""
    return short_duration(((status.completion_time or now) - status.start_time).total_seconds())


def restarts(status: JobStatus) -> str:
    """How often a job's parts were started again, if they were."""
    count = status.restarts
    return f" (restarts: {count.user} after errors, {count.infrastructure} after lost workers)" if count.total else ""


def progress_line(progress: Progress | None, *, over: bool = False) -> str:
    """Progress in one line, with a bar; without what only a running job has, if it is over."""
    if progress is None:
        return ""
    parts = [progress.stage]
    if progress.epoch is not None:
        parts.append(f"epoch {progress.epoch}/{progress.epochs}")
    parts += filter(None, [done_text(progress)])
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    if progress.samples_per_second is not None and not over:
        parts.append(f"{progress.samples_per_second:,.0f} samples/s")
    if progress.time_split is not None and progress.time_split.data > DATA_WAIT_SHOWN and not over:
        parts.append(f"waits for data {progress.time_split.data:.0%}")
    if progress.eta and not over:
        parts.append(f"{progress.eta} left")
    return "  ".join(
        [*parts, *(f"rank {slow.rank} is {slow.slowdown:g}x slower" for slow in progress.stragglers or ())]
    )


def done_text(progress: Progress) -> str:
    """What is done, with a bar; the steps where nobody has said how many there are."""
    if progress.percent is None:
        return "" if progress.step is None else f"step {progress.step}"
    done = BAR_WIDTH * progress.percent // 100
    return f"[{'#' * done}{'.' * (BAR_WIDTH - done)}] {progress.summary}"


def curve_line(progress: Progress | None) -> str:
    """The curve of the loss in one line; empty before there is one."""
    losses = progress.losses if progress else ()
    return f"{sparkline(losses)}  {losses[0]:.4g} -> {losses[-1]:.4g}" if len(losses) > 1 else ""


def change_line(job: DLTrainJob) -> str:
    """A job in one line, as a log of its changes has it."""
    progress = progress_line(job.status.progress, over=job.status.finished)
    return "  ".join(filter(None, [job.name, phase(job.status), progress.rstrip()]))


def events_table(events: Sequence[ClusterEvent], now: datetime) -> str:
    """Events as a table, with how long ago each was seen last."""
    rows = [
        (since(each.time, now), each.kind, each.about, each.reason, f"{each.message}{often(each.count)}")
        for each in events
    ]
    return aligned([EVENT_COLUMNS, *rows])


def results_lines(results: Results | None) -> list[tuple[str, str]]:
    """The results, a line a kind."""
    if results is None:
        return []
    seconds = results.train_seconds
    return [
        ("Results", metrics_line(results.metrics)),
        ("Trained in", "" if seconds is None else short_duration(seconds)),
        ("Artefacts", results.artifacts or ""),
    ]


def ending(name: str, result: LocalResult, seconds: float) -> str:
    """What a local run came to.

    Args:
        name: the job's.
        result: how it ended.
        seconds: how long it took.
    """
    if not result.succeeded:
        failure = result.status.failure
        return failure_text(failure) if failure else f"{name} failed; its output says why"
    results = results_lines(result.status.results) or [("Folder", str(result.output))]
    text = labelled([("Job", f"{name} succeeded after {short_duration(seconds)}"), *results])
    rows = compression_table(result.status.results.compression) if result.status.results else ""
    return f"{text}\n\n{rows}" if rows else text


def labelled(lines: Iterable[tuple[str, str]]) -> str:
    """Lines with a name in front of each value; without those that have none."""
    return "\n".join(f"{f'{name}:':<12}{value}" for name, value in lines if value)


def failure_text(failure: Failure, title: str = "Failure") -> str:
    """Why a job failed: the first cause, where it happened and the last lines of its log."""
    place = ", ".join(
        f"{name} {value}"
        for name, value in (
            ("rank", failure.rank),
            ("pod", failure.pod),
            ("node", failure.node),
            ("attempt", failure.attempt),
        )
        if value is not None
    )
    ended = failure.signal or (f"exit code {failure.exit_code}" if failure.exit_code is not None else "")
    told = ", ".join(filter(None, [place, ended]))
    head = f"{title}: {failure.reason}{f' ({told})' if told else ''}\n  {failure.message}"
    log = "\n".join(f"  | {line}" for line in (failure.log or "").splitlines())
    return f"{head}\n{log}" if log else head
