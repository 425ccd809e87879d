"""What can be done with jobs, each verb written once: a program that either client runs in its own way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import stored_job
from dltrain.api.progress import Progress
from dltrain.api.status import ConditionType, Results
from dltrain.effects import APPLY_PATCH, MERGE_PATCH, Answer, Emit, Program, Request, first_of, performed
from dltrain.errors import JobFailedError, NotFoundError, Problem, SpecError, WaitTimeoutError
from dltrain.events import ClusterEvent, events_of
from dltrain.logs import LogReader
from dltrain.moments import moment_of
from dltrain.pods import WorkerPod, pods_of
from dltrain.requests import ask, ask_for_list
from dltrain.resolution import resolved
from dltrain.story import story
from dltrain.usage import PodUsage, usage_of
from dltrain.watch import JobEvent, JobWatch, job_path, jobs_path

Propagation = Literal["Background", "Foreground", "Orphan"]
Wanted = ConditionType | Callable[[DLTrainJob], bool]
"""What is waited for: a condition that shall be True, or a question about the job."""
FIELD_MANAGER: Final = "dltrain"


def submit(namespace: str, job: DLTrainJob, *, apply: bool, dry_run: bool) -> Program[DLTrainJob]:
    """Create a job, or apply it."""
    query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
    path, body = jobs_path(job.namespace or namespace), job.to_manifest()
    request = Request("POST", path, query, body)
    if apply:
        if not job.name:
            remedy = "write metadata.name, or create the job instead of applying it"
            raise SpecError([Problem("metadata.generateName", "cannot be applied", job.metadata.generate_name, remedy)])
        query |= {"fieldManager": FIELD_MANAGER, "force": "true"}
        request = Request("PATCH", f"{path}/{job.name}", query, body, APPLY_PATCH)
    return stored_job((yield from ask(request)))


def get(namespace: str, name: str) -> Program[DLTrainJob]:
    """A job as it is now."""
    return stored_job((yield from ask(Request("GET", job_path(namespace, name)))))


def list_jobs(namespace: str | None, selector: str, fields: str) -> Program[list[DLTrainJob]]:
    """All jobs that are selected, however many pages they fill."""
    selectors = {"labelSelector": selector, "fieldSelector": fields}
    query = {option: value for option, value in selectors.items() if value}
    found = yield from ask_for_list(jobs_path(namespace), query)
    return [stored_job(item) for item in found["items"]]


def patch(namespace: str, name: str, change: Mapping[str, Any]) -> Program[DLTrainJob]:
    """Change fields of a job."""
    request = Request("PATCH", job_path(namespace, name), body=change, kind=MERGE_PATCH)
    return stored_job((yield from ask(request)))


def changes(namespace: str, name: str, timeout: float | None) -> Program[None]:
    """Emits a job as it is, then every change of it, its end included, however soon it comes."""
    deadline = deadline_of(timeout)
    job = yield from get(namespace, name)
    yield Emit(JobEvent("ADDED", job))
    yield from JobWatch(namespace, name, deadline=deadline, known={job.metadata.uid: job}).events()


def wait(namespace: str, name: str, wanted: Wanted, timeout: float | None) -> Program[DLTrainJob]:
    """Wait for a condition."""

    def decide(event: JobEvent) -> DLTrainJob | None:
        return waited_for(event, wanted)

    return (yield from first_of(changes(namespace, name, timeout), decide))


def waited_for(event: JobEvent, wanted: Wanted) -> DLTrainJob | None:
    """The job if what is waited for has come; None while it may still come.

    Raises:
        NotFoundError: the job was deleted.
        JobFailedError: it failed.
        WaitTimeoutError: it is complete.
    """
    job = event.job
    if event.kind == "DELETED":
        raise NotFoundError(f"job {job.name} was deleted while it was waited for")
    if wanted(job) if callable(wanted) else job.status.is_true(wanted):
        return job
    if job.status.is_true("Failed"):
        raise failed(job)
    if job.status.is_true("Complete"):
        what = "what was waited for" if callable(wanted) else wanted
        raise WaitTimeoutError(f"job {job.name} is complete: it will not be {what} any more")
    return None


def progress(namespace: str, name: str, timeout: float | None) -> Program[None]:
    """Emits each new state of the progress until the job has ended."""
    seen: Progress | None = None
    program, answer = changes(namespace, name, timeout), Answer()
    while True:
        effect = answer.to(program)
        if not isinstance(effect, Emit):
            answer = yield from performed(effect)
            continue
        answer, told = Answer(), effect.value.job.status.progress
        if told is not None and told != seen:
            seen = told
            yield Emit(told)
        if waited_for(effect.value, "Complete"):
            return


def result(namespace: str, name: str, timeout: float | None) -> Program[Results]:
    """What a job produced, once it is complete."""
    job = yield from wait(namespace, name, "Complete", timeout)
    return job.status.results or Results()


def delete(namespace: str, name: str, propagation: Propagation, *, wait: bool, timeout: float | None) -> Program[None]:
    """Delete a job; with wait, see it gone."""
    path = job_path(namespace, name)
    job = (yield from get(namespace, name)) if wait else None  # what it was is known before it goes
    policy = "Foreground" if wait and propagation == "Background" else propagation
    yield from ask(Request("DELETE", path, body={"propagationPolicy": policy}))
    if job is None:
        return
    watch = JobWatch(namespace, name, deadline=deadline_of(timeout), known={job.metadata.uid: job})

    def gone(event: JobEvent) -> bool | None:
        return True if event.kind == "DELETED" and event.job.metadata.uid == job.metadata.uid else None

    yield from first_of(watch.events(), gone)


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which lines of output are asked for."""

    rank: int | None = None
    follow: bool = False
    tail: int | None = None
    since: float | None = None
    """Seconds before now."""
    timeout: float | None = None
    """Seconds to follow; None for as long as it takes."""


def logs(job: DLTrainJob, options: LogOptions, storage: Callable[[], Sequence[str]] | None = None) -> Program[None]:
    """Emits the lines of a job's ranks.

    Args:
        job: the job.
        options: which lines.
        storage: reads the lines that its storage has, for a job whose pods have gone.

    Raises:
        WaitTimeoutError: the time to follow is up.
    """
    since = "" if options.since is None else moment_of(datetime.now(UTC) - timedelta(seconds=options.since))
    reader = LogReader(resolved(job), options.rank, since, storage, deadline_of(options.timeout))
    return reader.lines(options.tail, follow=options.follow)


def logged_job(namespace: str, name: str, options: LogOptions) -> Program[DLTrainJob]:
    """The job whose lines are asked for.

    Raises:
        NotFoundError: there is no such job.
        SpecError: the job has no such rank.
    """
    job = yield from get(namespace, name)
    rank, last = options.rank, resolved(job).spec.workers.world_size - 1
    if rank is not None and not 0 <= rank <= last:
        raise SpecError([Problem("rank", f"must be between 0 and {last}", str(rank), "choose one of the job's ranks")])
    return job


def events(namespace: str, name: str) -> Program[list[ClusterEvent]]:
    """The events of a job and its pods."""
    return (yield from events_of((yield from get(namespace, name))))


def pods(namespace: str, name: str) -> Program[list[WorkerPod]]:
    """The pods of a job."""
    return (yield from pods_of((yield from get(namespace, name))))


def usage(namespace: str, name: str) -> Program[list[PodUsage]]:
    """What a job's pods use."""
    return (yield from usage_of((yield from get(namespace, name))))


def explain(namespace: str, name: str) -> Program[str]:
    """The story of a job."""
    job = yield from get(namespace, name)
    return story(job, (yield from events_of(job)), datetime.now(UTC))


def deadline_of(timeout: float | None) -> float | None:
    """The moment, on the monotonic clock, at which a time is up."""
    return None if timeout is None else time.monotonic() + timeout


def failed(job: DLTrainJob) -> JobFailedError:
    """The exception for a failed job, with its root cause."""
    condition = job.status.condition("Failed")
    failure = job.status.failure
    message = failure.message if failure else condition.message if condition else ""
    return JobFailedError(job.name, message, failure)
