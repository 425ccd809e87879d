"""What the coordinator tells others of the job: to observers, as termination message, to `dltrain run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from dltrain import names
from dltrain.api.channel import GroupStatus
from dltrain.api.job import DLTrainJob
from dltrain.api.report import CheckpointReport, Report
from dltrain_agent.reports import Reported
from dltrain_agent.state import Group

MAX_TERMINATION_BYTES: Final = 4096
"""What Kubernetes keeps of a termination message."""


def group_status(
    group: Group, reported: Reported, problems: Mapping[int, tuple[str, ...]] | None = None
) -> GroupStatus:
    """The status of a group, whose members present include the coordinator.

    An attempt that ends well is told as running until the job is over: nobody should think that it is started again.
    """
    return GroupStatus(
        state="running" if group.state == "ending" and group.ends_well else group.state,
        attempt=group.number,
        user_restarts=group.user_restarts,
        members=tuple(sorted(group.members)),
        workers=group.attempt.workers,
        silent=tuple(sorted(group.silent)),
        preflight=None if problems is None else tuple(one for index in sorted(problems) for one in problems[index]),
        progress=reported.progress,
        checkpoint=reported.checkpoint,
        results=reported.results,
        failure=group.failure,
        last_restart=group.last_restart,
    )


def termination_message(status: GroupStatus) -> str:
    """The status in at most 4096 bytes of JSON: as much of it as fits, the outcome in any case.

    An operator that has heard the same outcome from the coordinator itself knows the rest.
    """
    for shorten in SHORTENINGS:
        excess = len(text_of(status).encode()) - MAX_TERMINATION_BYTES
        if excess <= 0:
            break
        status = shorten(status, excess)
    return text_of(status)


def text_of(status: GroupStatus) -> str:
    """The JSON of a status."""
    return status.model_dump_json(by_alias=True, exclude_none=True)


def with_shorter_logs(status: GroupStatus, excess: int) -> GroupStatus:
    """Without the log of the restart, and with the last lines of the failure's."""
    restart, failure = status.last_restart, status.failure
    if restart is not None:
        restart = restart.model_copy(update={"log": None})
    if failure is not None:
        log = (failure.log or "").encode()[excess:].decode(errors="ignore")  # a byte of text is one of JSON, or more
        failure = failure.model_copy(update={"log": log or None})
    return status.model_copy(update={"last_restart": restart, "failure": failure})


def without_indexes(status: GroupStatus, _: int) -> GroupStatus:
    """Without the members, of which there may be thousands."""
    return status.model_copy(update={"members": (), "workers": (), "silent": ()})


def without_curve(status: GroupStatus, _: int) -> GroupStatus:
    """Without the losses so far."""
    progress = status.progress
    return status.model_copy(update={"progress": progress and progress.model_copy(update={"losses": ()})})


def with_one_latency(status: GroupStatus, _: int) -> GroupStatus:
    """With the one latency of each row of the compression that its speed-up is made from."""
    results = status.results
    if results is None:
        return status
    rows = [
        row.model_copy(update={"latencies": (row.judged,) if row.judged is not None else ()})
        for row in results.compression
    ]
    return status.model_copy(update={"results": results.model_copy(update={"compression": tuple(rows)})})


def without_rows(status: GroupStatus, _: int) -> GroupStatus:
    """Without the rows of the compression."""
    results = status.results
    return status.model_copy(update={"results": results and results.model_copy(update={"compression": ()})})


def without_history(status: GroupStatus, _: int) -> GroupStatus:
    """Without what was before the end."""
    return status.model_copy(update={"last_restart": None, "preflight": None, "progress": None})


def with_shorter_message(status: GroupStatus, excess: int) -> GroupStatus:
    """With the start of the failure's message."""
    failure = status.failure
    if failure is None:
        return status
    message = failure.message.encode()
    shorter = message[: max(0, len(message) - excess)].decode(errors="ignore")
    return status.model_copy(update={"failure": failure.model_copy(update={"message": shorter})})


SHORTENINGS: Final[Sequence[Callable[[GroupStatus, int], GroupStatus]]] = (
    with_shorter_logs,
    without_indexes,
    without_curve,
    with_one_latency,
    without_rows,
    without_history,
    with_shorter_message,
)
"""What is left out of a termination message that is too long, in this order: status and excess in bytes -> status."""


def address_of(path: str, job: DLTrainJob, *, local: bool) -> str:
    """A path on the job's storage as an address that means something outside of the pod.

    Args:
        path: the path as the ranks see it.
        job: the job.
        local: whether the job runs on this machine, where a path is an address.
    """
    folder, storage = Path(names.STORAGE_DIR), job.spec.storage
    if local or storage is None or not Path(path).is_relative_to(folder):
        return path
    return f"{storage.address}/{Path(path).relative_to(folder)}"


def is_unsent(report: Report, job: DLTrainJob, *, local: bool) -> bool:
    """Whether a report is of a checkpoint that is on the pod's disk, and has yet to go to the job's bucket.

    Args:
        report: the report.
        job: the job.
        local: whether the job runs on this machine, where a path is an address.
    """
    uri = job.spec.storage.uri if job.spec.storage and not local else None
    return uri is not None and isinstance(report, CheckpointReport) and not report.path.startswith(uri)
