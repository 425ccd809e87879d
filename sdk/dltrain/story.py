"""A job's story in a few lines of plain English, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain.api.status import Failure
from dltrain.durations import short_duration
from dltrain.events import ClusterEvent

WARNINGS_SHOWN: Final = 5
OPENINGS: Final = {
    None: "No operator has taken the job up yet: is dltrain installed, and does it watch this namespace?",
    "Pending": "The job waits for its pods.",
    "Starting": "The job's pods are there; its ranks are being started.",
    "Running": "The job trains.",
    "Restarting": "The ranks are being started again.",
    "Suspended": "The job is suspended and holds no pods; `dltrain resume {name}` lets it go on.",
    "Succeeded": "The job is complete.",
    "Failed": "The job has failed for good.",
}


def story(job: DLTrainJob, events: Sequence[ClusterEvent], now: datetime) -> str:
    """What happened to a job, why, and what to do next.

    Args:
        job: with its status.
        events: of it and its pods.
        now: the moment.
    """
    return "\n".join([*opening(job, now), *course(job), *trouble(job), *warnings(job, events)])


def opening(job: DLTrainJob, now: datetime) -> Iterator[str]:
    """Where it stands."""
    status = job.status
    yield OPENINGS[status.phase].format(name=job.name)
    refused = status.condition("Accepted")
    waiting = status.condition("Running")
    if refused is not None and refused.status == "False":
        yield f"The operator refused it: {refused.message}"
    elif status.phase in {"Pending", "Starting"} and waiting is not None and waiting.message:
        yield f"It waits because: {waiting.message}"
    if status.start_time is not None and status.phase != "Suspended":
        took = short_duration(((status.completion_time or now) - status.start_time).total_seconds())
        yield f"It {'ran' if status.finished else 'has run'} for {took}."


def course(job: DLTrainJob) -> Iterator[str]:
    """How far it came, and what interrupted it."""
    status = job.status
    progress, restarts = status.progress, status.restarts
    if progress is not None and progress.step is not None:
        steps = f" of {progress.steps}" if progress.steps else ""
        yield f"It came to step {progress.step}{steps} (stage {progress.stage})."
    if status.is_true("InputBound"):
        yield "Training waits for its data: more loading threads, a smaller picture or a faster storage would help."
    if restarts.user:
        yield f"Its ranks were started again {times(restarts.user)} after errors of their own."
    if restarts.infrastructure:
        yield f"{times(restarts.infrastructure).capitalize()} a worker was lost and replaced; that costs no retry."
    for node in status.node_failures or ():
        avoided = f"; the job avoids it until {node.avoid_until:%H:%M} UTC" if node.avoid_until else ""
        yield f"Node {node.node} lost a worker {times(node.count)}, the last time by {node.reason}{avoided}."
    yield from held_up(progress or Progress())
    if status.checkpoint is not None and status.phase != "Succeeded":
        yield f"The newest checkpoint is of step {status.checkpoint.step}: {status.checkpoint.uri}"


def held_up(progress: Progress) -> Iterator[str]:
    """Who holds the others up."""
    if (bandwidth := progress.bandwidth) is not None:
        for worker in bandwidth.slow:
            yield (
                f"{worker} exchanged less than half as much data as the other workers before the first step "
                f"({bandwidth.pairs:g} GB/s): look at the network of its node."
            )
    for slow in progress.stragglers or ():
        yield f"Rank {slow.rank} computes {slow.slowdown:g} times as long as the others, which wait for it."


def trouble(job: DLTrainJob) -> Iterator[str]:
    """The first cause of a failure and what to do."""
    failure = job.status.failure or job.status.last_restart
    if failure is None:
        return
    was = "The cause" if job.status.phase == "Failed" else "The last interruption"
    yield f"{was}: {failure.message or failure.reason} [{failure.reason}{where(failure)}]"
    yield from (f"  | {line}" for line in (failure.log or "").splitlines()[-WARNINGS_SHOWN:])
    if job.status.phase == "Failed":
        yield (
            f"Next: {ADVICE.get(failure.reason, ADVICE['UserError'])} "
            f"(`dltrain logs {job.name}`; docs/troubleshooting.md explains {failure.reason})."
        )


ADVICE: Final = {
    "UserError": "read the lines above, correct the job or its script, and submit it under another name",
    "OutOfMemory": "lower globalBatchSize, raise the memory limit, or use more workers",
    "Communication": "see whether pods can reach one another; a network policy or a full node is the usual reason",
    "Hang": "look at the stack in the lines above: the rank waits there for something that never comes",
    "NaN": "lower the learning rate, clip the gradients, or look for broken samples",
    "DataError": "correct the data, or the transforms, that the message names",
    "StorageError": "see that the bucket can be reached and written with the pod's credentials",
    "WorkerLost": "see what became of the nodes (status.nodeFailures); runPolicy.lostPodsPerHour is the limit",
    "Resized": "nothing: the number of workers has changed",
    "Preempted": "give the job a higher priority, or nodes that are not taken away",
    "LaunchFailed": "see that the image has what the ranks need: mpirun, Python and the command",
    "DeadlineExceeded": "raise runPolicy.activeDeadlineSeconds, or make the job smaller",
    "InvalidSpec": "correct the field that the message names",
}
"""Reason -> what usually helps."""


def where(failure: Failure) -> str:
    """Where a failure happened, as far as that is known."""
    parts = (("rank", failure.rank), ("pod", failure.pod), ("node", failure.node))
    return "".join(f", {name} {value}" for name, value in parts if value is not None)


def warnings(job: DLTrainJob, events: Sequence[ClusterEvent]) -> Iterator[str]:
    """What the cluster complains about, of a job that is not complete."""
    found = [event for event in events if event.kind == "Warning"][-WARNINGS_SHOWN:]
    if found and job.status.phase != "Succeeded":
        yield "The cluster warns:"
        yield from (f"  {event.about}: {event.reason}: {event.message}{often(event.count)}" for event in found)


def often(count: int) -> str:
    """How often something happened, if more than once."""
    return f" ({count} times)" if count > 1 else ""


def times(count: int) -> str:
    """A count of times in words."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
