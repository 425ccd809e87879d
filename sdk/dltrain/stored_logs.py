"""The output that a job's storage keeps, for when its pods have gone: each rank's last lines in the newest attempts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dltrain.api.job import DLTrainJob
from dltrain.artefacts import Cluster, copied_from
from dltrain.names import output_folder
from dltrain.resolution import resolved

FOLDER: Final = "logs"
FILE: Final = re.compile(r"attempt-(\d+)/rank-(\d+)\.log$")
PREFIX: Final = re.compile(r"\[rank (\d+)\] ")


def prefixed(lines: Sequence[str], rank: int | None) -> Iterator[str]:
    """Lines with the prefix of their rank, where they lack one."""
    for line in lines:
        yield line if rank is None or PREFIX.match(line) else f"[rank {rank}] {line}"


def status_lines(job: DLTrainJob, rank: int | None) -> list[str]:
    """What the status keeps of the output: the last lines of the rank that failed first."""
    failure = job.status.failure or job.status.last_restart
    if failure is None or not failure.log or (rank is not None and failure.rank != rank):
        return []
    return list(prefixed(failure.log.splitlines(), failure.rank))


def logs_address(job: DLTrainJob) -> str | None:
    """Where a job's logs are; None where they went with its pods.

    What has failed has no results that name its folder: it is told from the storage.
    """
    storage = resolved(job).spec.storage
    if storage is None:
        return None
    return f"{storage.address.rstrip('/')}/{output_folder(job.name, job.metadata.uid)}/{FOLDER}"


def stored_logs(cluster: Cluster, job: DLTrainJob, rank: int | None, image: str) -> list[str]:
    """The lines that a job's storage has, attempt after attempt and rank after rank.

    Args:
        cluster: the connection by which a volume claim is read, through a small pod.
        job: the job.
        rank: only this one's.
        image: of that pod; the one that the job names by default.

    Raises:
        ClusterError: the pod cannot be made or does not start, or there are no logs.
        SpecError: the job has no pods any more, and no image was named.
        StorageError: the bucket refuses, or is away.
    """
    address, image = logs_address(job), image or resolved(job).spec.workers.image or ""
    if address is None:
        return []
    with tempfile.TemporaryDirectory(prefix="dltrain-logs-") as folder:
        return list(lines_of(copied_from(cluster, job, address, Path(folder), lambda: image), rank))


def lines_of(files: Sequence[Path], rank: int | None) -> Iterator[str]:
    """The lines of logs/attempt-N/rank-R.log, by attempt and rank as numbers."""
    places = ((FILE.search(file.as_posix()), file) for file in files)
    ordered = sorted((int(place[1]), int(place[2]), file) for place, file in places if place)
    for _, writer, file in ordered:
        if rank in {None, writer}:
            yield from prefixed(file.read_text(errors="replace").splitlines(), writer)
