"""What the coordinator tells others of the job: to observers, as termination message, to `dltrain run`."""

from __future__ import annotations

from collections.abc import Mapping
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
    """The status in at most 4096 bytes of JSON; of a long failure log, the last lines."""
    text = status.model_dump_json(by_alias=True, exclude_none=True)
    while len(text.encode()) > MAX_TERMINATION_BYTES and status.failure is not None:
        failure = status.failure
        excess = len(text.encode()) - MAX_TERMINATION_BYTES
        shorter = (failure.log or "").encode()[excess:].decode(errors="ignore")
        message = failure.message if failure.log else failure.message[: len(failure.message) // 2]
        status = status.model_copy(
            update={"failure": failure.model_copy(update={"log": shorter or None, "message": message})}
        )
        text = status.model_dump_json(by_alias=True, exclude_none=True)
    return text


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
