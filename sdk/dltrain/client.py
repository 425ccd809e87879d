"""The client: jobs of a cluster, as typed values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import stored_job
from dltrain.api.status import ConditionType
from dltrain.connection import Connection, connect
from dltrain.errors import JobFailedError, NotFoundError, Problem, SpecError, WaitTimeoutError
from dltrain.logs import LogReader
from dltrain.watch import JobEvent, JobWatch, job_path, jobs_path


class Client:
    """Submits, follows and ends jobs.

    Every method may raise the kinds of ClusterError: the cluster refuses, or is out of reach.

    Args:
        namespace: where the jobs are; the kubeconfig's current one by default.
        context: of the kubeconfig; its current one by default.
        kubeconfig: the file; what KUBECONFIG names, ~/.kube/config, or the pod's service account by default.
    """

    def __init__(
        self, namespace: str | None = None, *, context: str | None = None, kubeconfig: str | Path | None = None
    ) -> None:
        self._connection: Connection = connect(context, Path(kubeconfig) if kubeconfig else None)
        self.namespace = namespace or self._connection.namespace
        """The namespace that jobs are in, unless they name one themselves."""

    def submit(self, job: DLTrainJob, *, dry_run: bool = False) -> DLTrainJob:
        """Create a job.

        Args:
            job: what to run; its own namespace counts, if it has one.
            dry_run: only have the server check it.

        Returns:
            The job as the server has it.

        Raises:
            AlreadyExistsError: the name is taken.
            SpecError: the server found a mistake in it.
        """
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        path = jobs_path(job.namespace or self.namespace)
        return stored_job(self._connection.request("POST", path, query, job.to_manifest()))

    def get(self, name: str) -> DLTrainJob:
        """A job as it is now.

        Raises:
            NotFoundError: there is none of that name.
        """
        return stored_job(self._connection.request("GET", job_path(self.namespace, name)))

    def list(self, selector: str = "") -> list[DLTrainJob]:
        """The jobs of the namespace.

        Args:
            selector: of labels, as in `team=vision,stage!=test`.
        """
        query = {"labelSelector": selector} if selector else {}
        found = self._connection.request("GET", jobs_path(self.namespace), query)
        return [stored_job(item) for item in found["items"]]

    def watch(self, name: str | None = None, timeout: float | None = None) -> Iterator[JobEvent]:
        """Jobs as they are, then every change; survives restarts of the API server.

        Args:
            name: only this job, whether it exists yet or not.
            timeout: seconds after which WaitTimeoutError is raised; never by default.
        """
        return JobWatch(self._connection, self.namespace, name, deadline_of(timeout)).events()

    def wait(self, name: str, condition: ConditionType | None = None, timeout: float | None = None) -> DLTrainJob:
        """Wait for a job to finish, or for another condition.

        Args:
            name: the job.
            condition: what to wait for; by default for the job to be Complete.
            timeout: seconds to wait; without it, for ever.

        Returns:
            The job as it is then.

        Raises:
            NotFoundError: there is no such job, or it was deleted meanwhile.
            JobFailedError: it failed, and another condition was waited for.
            WaitTimeoutError: the time is up, or the job is complete and what was waited for cannot come any more.
        """
        wanted = condition or "Complete"
        for event in self._changes(name, timeout):
            status = event.job.status
            if event.kind == "DELETED":
                raise NotFoundError(f"job {name} was deleted while it was waited for")
            if status.is_true(wanted):
                return event.job
            if status.is_true("Failed"):
                raise failed(event.job)
            if status.is_true("Complete"):
                raise WaitTimeoutError(f"job {name} is complete: it will not be {wanted} any more")
        raise AssertionError("a watch has no end")

    def suspend(self, name: str) -> DLTrainJob:
        """Have a job give up its pods; it can be resumed from its last checkpoint."""
        return self._patch(name, {"spec": {"runPolicy": {"suspend": True}}})

    def resume(self, name: str) -> DLTrainJob:
        """Let a suspended job go on."""
        return self._patch(name, {"spec": {"runPolicy": {"suspend": False}}})

    def delete(self, name: str, *, wait: bool = False, timeout: float | None = None) -> None:
        """Delete a job and all that belongs to it.

        Args:
            name: the job.
            wait: until its pods are gone too.
            timeout: seconds to wait; without it, for ever.

        Raises:
            NotFoundError: there is none of that name.
            WaitTimeoutError: the time is up.
        """
        changes = self._changes(name, timeout) if wait else iter(())
        first = next(changes, None)  # what the job was is known before it goes
        policy = "Foreground" if wait else "Background"
        self._connection.request("DELETE", job_path(self.namespace, name), body={"propagationPolicy": policy})
        for event in changes:
            if event.kind == "DELETED" and first is not None and event.job.metadata.uid == first.job.metadata.uid:
                return

    def logs(self, name: str, rank: int | None = None, *, follow: bool = False) -> Iterator[str]:
        """The output of a job's ranks, line by line, each with its prefix `[rank N]`.

        Args:
            name: the job.
            rank: only this one's.
            follow: go on until the job has finished, through restarts and replaced pods.

        Raises:
            NotFoundError: there is no such job.
            SpecError: the job has no such rank.
        """
        job = self.get(name)
        last = job.spec.workers.world_size - 1
        if rank is not None and not 0 <= rank <= last:
            raise SpecError(
                [Problem("rank", f"must be between 0 and {last}", str(rank), "choose one of the job's ranks")]
            )
        return LogReader(self._connection, job, rank, lambda: self.get(name)).lines(follow=follow)

    def _changes(self, name: str, timeout: float | None) -> Iterator[JobEvent]:
        """A job as it is, then every change of it, its end included, however soon it comes.

        Raises:
            NotFoundError: there is no such job.
        """
        deadline = deadline_of(timeout)
        job = self.get(name)
        yield JobEvent("ADDED", job)
        known = {job.metadata.uid: job}
        yield from JobWatch(self._connection, self.namespace, name, deadline, known=known).events()

    def _patch(self, name: str, change: dict[str, Any]) -> DLTrainJob:
        return stored_job(self._connection.request("PATCH", job_path(self.namespace, name), body=change))


def deadline_of(timeout: float | None) -> float | None:
    """The moment, on the monotonic clock, at which a time is up."""
    return None if timeout is None else time.monotonic() + timeout


def failed(job: DLTrainJob) -> JobFailedError:
    """The exception for a failed job, with its root cause."""
    condition = job.status.condition("Failed")
    failure = job.status.failure
    message = failure.message if failure else condition.message if condition else ""
    return JobFailedError(job.name, message, failure)
