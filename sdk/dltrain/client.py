"""The blocking client: jobs of a cluster, as typed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kubernetes.client import Configuration

from dltrain import verbs
from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain.api.status import Results
from dltrain.artefacts import StoredFile, copied, listed
from dltrain.capacity.planning import JobPlan, planned
from dltrain.connection import connect
from dltrain.doctor.examine import examined
from dltrain.doctor.finding import Finding
from dltrain.doctor.look import look
from dltrain.driver import Driver
from dltrain.effects import Program
from dltrain.events import ClusterEvent
from dltrain.pods import WorkerPod
from dltrain.resolution import resolved
from dltrain.stored_logs import stored_logs
from dltrain.usage import PodUsage
from dltrain.verbs import LogOptions, Propagation, Wanted, deadline_of
from dltrain.watch import JobEvent, JobWatch

T = TypeVar("T")


class Client:
    """Submits, follows and ends jobs; `AsyncClient` has the same verbs for asyncio.

    Every method may raise the kinds of ClusterError: the cluster refuses, or is out of reach.

    Args:
        namespace: where the jobs are; the kubeconfig's current one by default.
        context: of the kubeconfig; its current one by default.
        kubeconfig: the file; what KUBECONFIG names, ~/.kube/config, or the pod's service account by default.
        configuration: the official client's, in the place of a kubeconfig; a hook in it may refresh its token.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        context: str | None = None,
        kubeconfig: str | Path | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        self._connection = connect(context, kubeconfig, configuration)
        self.namespace = namespace or self._connection.namespace
        """The namespace that jobs are in, unless they name one themselves."""

    def submit(self, job: DLTrainJob, *, apply: bool = False, dry_run: bool = False) -> DLTrainJob:
        """Create a job; `metadata.generateName` gets it a name of its own.

        Args:
            job: what to run; its own namespace counts, if it has one.
            apply: by server-side apply: a job of that name that exists already is changed instead.
            dry_run: only have the server check it.

        Returns:
            The job as the server has it.

        Raises:
            AlreadyExistsError: the name is taken.
            SpecError: the server found a mistake in it.
        """
        return self._run(verbs.submit(self.namespace, job, apply=apply, dry_run=dry_run))

    def get(self, name: str) -> DLTrainJob:
        """A job as it is now.

        Raises:
            NotFoundError: there is none of that name.
        """
        return self._run(verbs.get(self.namespace, name))

    def list(self, selector: str = "", fields: str = "", *, everywhere: bool = False) -> list[DLTrainJob]:
        """The jobs of the namespace; read page by page, however many there are.

        Args:
            selector: of labels, as in `team=vision,stage!=test`.
            fields: of metadata.name and metadata.namespace, as in `metadata.name=fashion-cnn`.
            everywhere: of all namespaces.
        """
        return self._run(verbs.list_jobs(None if everywhere else self.namespace, selector, fields))

    def watch(
        self, name: str | None = None, timeout: float | None = None, *, selector: str = "", everywhere: bool = False
    ) -> Iterator[JobEvent]:
        """Jobs as they are, then every change; survives restarts of the API server.

        Args:
            name: only this job, whether it exists yet or not.
            timeout: seconds after which WaitTimeoutError is raised; never by default.
            selector: of labels: only jobs that have them.
            everywhere: in all namespaces.
        """
        watch = JobWatch(None if everywhere else self.namespace, name, selector, deadline_of(timeout))
        return self._iterate(watch.events())

    def wait(self, name: str, condition: Wanted | None = None, timeout: float | None = None) -> DLTrainJob:
        """Wait for a job to finish, or for another condition.

        Args:
            name: the job.
            condition: what to wait for: a condition's name, or a function of the job; by default Complete.
            timeout: seconds to wait; without it, for ever.

        Returns:
            The job as it is then.

        Raises:
            NotFoundError: there is no such job, or it was deleted meanwhile.
            JobFailedError: it failed, and another condition was waited for; holds the root cause.
            WaitTimeoutError: the time is up, or the job is complete and what was waited for cannot come any more.
        """
        return self._run(verbs.wait(self.namespace, name, condition or "Complete", timeout))

    def progress(self, name: str, timeout: float | None = None) -> Iterator[Progress]:
        """How far a job is, whenever that changes, until it is complete.

        Args:
            name: the job.
            timeout: seconds to wait; without it, for ever.

        Raises:
            JobFailedError: it failed; holds the root cause.
            WaitTimeoutError: the time is up.
        """
        return self._iterate(verbs.progress(self.namespace, name, timeout))

    def result(self, name: str, timeout: float | None = None) -> Results:
        """What a job produced: metrics and where its artefacts are; waits until it is complete.

        Args:
            name: the job.
            timeout: seconds to wait; without it, for ever.

        Raises:
            JobFailedError: it failed; holds the root cause.
            WaitTimeoutError: the time is up.
        """
        return self._run(verbs.result(self.namespace, name, timeout))

    def download(self, name: str, folder: str | Path, *, image: str = "") -> Sequence[Path]:
        """Copy a job's artefacts to this machine: the model, checkpoints, report and metrics.

        From a volume claim they come through a small pod of the job's namespace that mounts it to be read only.

        Args:
            name: the job.
            folder: where to.
            image: of that pod; the one of the job's own pods by default.

        Returns:
            The files.

        Raises:
            NotFoundError: there are no artefacts, or they were lost with the job's first pod.
            SpecError: the job has no pods any more, and no image was named.
        """
        job = self.get(name)
        return copied(self._connection, job, Path(folder), lambda: image or self._image_of(job))

    def artefacts(self, name: str, *, image: str = "") -> Sequence[StoredFile]:
        """What a job has stored: names and sizes; see `download` for where from and what it raises.

        Args:
            name: the job.
            image: of the pod that reads a volume claim; the one of the job's own pods by default.
        """
        job = self.get(name)
        return listed(self._connection, job, lambda: image or self._image_of(job))

    def _image_of(self, job: DLTrainJob) -> str:
        return resolved(job).spec.workers.image or next((pod.image for pod in self.pods(job.name)), "")

    def doctor(self, job: DLTrainJob | None = None) -> Sequence[Finding]:
        """Examine the cluster, reading only: can jobs run there, and what is to be done.

        Args:
            job: one that is to run there; what it asks for is checked too.
        """
        return self._run(examined(look(self.namespace), job))

    def plan(self, job: DLTrainJob) -> JobPlan:
        """Hold a job against the cluster as it is now, reading only: whether it fits, and what blocks it.

        Args:
            job: what is to run; its own namespace counts, if it has one.
        """
        return self._run(planned(self.namespace, job))

    def suspend(self, name: str) -> DLTrainJob:
        """Have a job give up its pods; it can be resumed from its last checkpoint."""
        return self._patch(name, {"spec": {"runPolicy": {"suspend": True}}})

    def resume(self, name: str) -> DLTrainJob:
        """Let a suspended job go on."""
        return self._patch(name, {"spec": {"runPolicy": {"suspend": False}}})

    def scale(self, name: str, replicas: int) -> DLTrainJob:
        """Change the number of a job's workers.

        Args:
            name: the job.
            replicas: how many workers it shall have.

        Raises:
            SpecError: the cluster does not let this job be scaled, or not to that number.
        """
        return self._patch(name, {"spec": {"workers": {"replicas": replicas}}})

    def delete(
        self, name: str, *, propagation: Propagation = "Background", wait: bool = False, timeout: float | None = None
    ) -> None:
        """Delete a job and all that belongs to it; what it has stored stays.

        Args:
            name: the job.
            propagation: Background: its pods go after it; Foreground: before it; Orphan: they stay.
            wait: until the job, and unless orphaned its pods, are gone.
            timeout: seconds to wait; without it, for ever.

        Raises:
            NotFoundError: there is none of that name.
            WaitTimeoutError: the time is up.
        """
        self._run(verbs.delete(self.namespace, name, propagation, wait=wait, timeout=timeout))

    def logs(  # noqa: PLR0913 - what a user may ask for
        self,
        name: str,
        rank: int | None = None,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timeout: float | None = None,
        image: str = "",
        stored: bool = True,
    ) -> Iterator[str]:
        """The output of a job's ranks, by time, line by line, each with its prefix `[rank N]`.

        Where the pods have gone, what the job's storage keeps of it: the last lines of each rank, attempt after
        attempt; read as `download` does. Without a storage, what the status keeps. Of a pod whose log cannot be read a
        line tells why; where there is no other pod, that is the error.

        Args:
            name: the job.
            rank: only this one's.
            follow: go on until the job has finished, through restarts and replaced pods.
            tail: of what there is, only the last so many lines.
            since: only lines of the last so many seconds.
            timeout: seconds to follow; without it, until the job has finished.
            image: of the pod that reads a volume claim; the one that the job names by default.
            stored: whether the storage is read at all.

        Raises:
            NotFoundError: there is no such job.
            SpecError: the job has no such rank; or its pods have gone, its storage is a claim, and no image was named.
            StorageError: its pods have gone, and the bucket refuses or is away.
            WaitTimeoutError: the time is up.
        """
        options = LogOptions(rank, follow, tail, since, timeout)
        job = self._run(verbs.logged_job(self.namespace, name, options))
        storage = partial(stored_logs, self._connection, job, rank, image) if stored else None
        return self._iterate(verbs.logs(job, options, storage))

    def events(self, name: str) -> Sequence[ClusterEvent]:
        """What the cluster has noted about a job and its pods, oldest first."""
        return self._run(verbs.events(self.namespace, name))

    def pods(self, name: str) -> Sequence[WorkerPod]:
        """A job's worker pods, by worker and incarnation: phase, node, ranks."""
        return self._run(verbs.pods(self.namespace, name))

    def usage(self, name: str) -> Sequence[PodUsage]:
        """What a job's pods use of CPU and memory; nothing where the cluster has no metrics server."""
        return self._run(verbs.usage(self.namespace, name))

    def explain(self, name: str) -> str:
        """A job's story in a few lines of plain English: where it stands, why, and what to do next."""
        return self._run(verbs.explain(self.namespace, name))

    def _patch(self, name: str, change: Mapping[str, Any]) -> DLTrainJob:
        return self._run(verbs.patch(self.namespace, name, change))

    def _run(self, program: Program[T]) -> T:
        return Driver(self._connection).run(program)

    def _iterate(self, program: Program[Any]) -> Iterator[Any]:
        return Driver(self._connection).iterate(program)
