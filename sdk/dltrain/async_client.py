"""The client for asyncio: the same verbs as `dltrain.client`, run by another driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from kubernetes.client import Configuration

from dltrain import verbs
from dltrain.access import access
from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Progress
from dltrain.api.status import Results
from dltrain.artefacts import StoredFile
from dltrain.async_connection import AsyncConnection
from dltrain.async_driver import AsyncDriver
from dltrain.capacity.planning import JobPlan, planned
from dltrain.client import Client
from dltrain.connection import connect
from dltrain.doctor.examine import examined
from dltrain.doctor.finding import Finding
from dltrain.doctor.look import look
from dltrain.effects import Program
from dltrain.events import ClusterEvent
from dltrain.pods import WorkerPod
from dltrain.stored_logs import stored_logs
from dltrain.usage import PodUsage
from dltrain.verbs import LogOptions, Propagation, Wanted, deadline_of
from dltrain.watch import JobEvent, JobWatch

T = TypeVar("T")


class AsyncClient:
    """Submits, follows and ends jobs without blocking the event loop; `async with` closes its connections.

    Arguments, results and errors are those of the methods of `Client`.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        context: str | None = None,
        kubeconfig: str | Path | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        self._access = context, kubeconfig, configuration
        self._connection = AsyncConnection(access(*self._access))
        self.namespace = namespace or self._connection.namespace
        """The namespace that jobs are in, unless they name one themselves."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def submit(self, job: DLTrainJob, *, apply: bool = False, dry_run: bool = False) -> DLTrainJob:
        """Create or apply a job; see Client.submit."""
        return await self._run(verbs.submit(self.namespace, job, apply=apply, dry_run=dry_run))

    async def get(self, name: str) -> DLTrainJob:
        """A job as it is now; see Client.get."""
        return await self._run(verbs.get(self.namespace, name))

    async def list(self, selector: str = "", fields: str = "", *, everywhere: bool = False) -> list[DLTrainJob]:
        """The jobs of the namespace; see Client.list."""
        return await self._run(verbs.list_jobs(None if everywhere else self.namespace, selector, fields))

    def watch(
        self, name: str | None = None, timeout: float | None = None, *, selector: str = "", everywhere: bool = False
    ) -> AsyncIterator[JobEvent]:
        """Jobs as they are, then every change; see Client.watch."""
        watch = JobWatch(None if everywhere else self.namespace, name, selector, deadline_of(timeout))
        return self._iterate(watch.events())

    async def wait(self, name: str, condition: Wanted | None = None, timeout: float | None = None) -> DLTrainJob:  # noqa: ASYNC109 - as in Client
        """Wait for a job to finish, or for another condition; see Client.wait."""
        return await self._run(verbs.wait(self.namespace, name, condition or "Complete", timeout))

    def progress(self, name: str, timeout: float | None = None) -> AsyncIterator[Progress]:
        """How far a job is, whenever that changes; see Client.progress."""
        return self._iterate(verbs.progress(self.namespace, name, timeout))

    async def result(self, name: str, timeout: float | None = None) -> Results:  # noqa: ASYNC109 - as in Client
        """What a job produced; see Client.result."""
        return await self._run(verbs.result(self.namespace, name, timeout))

    async def download(self, name: str, folder: str | Path, *, image: str = "") -> Sequence[Path]:
        """Copy a job's artefacts to this machine, in a thread; see Client.download."""
        return await asyncio.to_thread(self._blocking().download, name, folder, image=image)

    async def artefacts(self, name: str, *, image: str = "") -> Sequence[StoredFile]:
        """What a job has stored, in a thread; see Client.artefacts."""
        return await asyncio.to_thread(self._blocking().artefacts, name, image=image)

    def _blocking(self) -> Client:
        context, kubeconfig, configuration = self._access
        return Client(self.namespace, context=context, kubeconfig=kubeconfig, configuration=configuration)

    async def doctor(self, job: DLTrainJob | None = None) -> Sequence[Finding]:
        """Examine the cluster; see Client.doctor."""
        return await self._run(examined(look(self.namespace), job))

    async def plan(self, job: DLTrainJob) -> JobPlan:
        """Hold a job against the cluster as it is now; see Client.plan."""
        return await self._run(planned(self.namespace, job))

    async def suspend(self, name: str) -> DLTrainJob:
        """Have a job give up its pods; see Client.suspend."""
        return await self._patch(name, {"spec": {"runPolicy": {"suspend": True}}})

    async def resume(self, name: str) -> DLTrainJob:
        """Let a suspended job go on; see Client.resume."""
        return await self._patch(name, {"spec": {"runPolicy": {"suspend": False}}})

    async def scale(self, name: str, replicas: int) -> DLTrainJob:
        """Change the number of a job's workers; see Client.scale."""
        return await self._patch(name, {"spec": {"workers": {"replicas": replicas}}})

    async def delete(
        self,
        name: str,
        *,
        propagation: Propagation = "Background",
        wait: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - as in Client
    ) -> None:
        """Delete a job and all that belongs to it; see Client.delete."""
        await self._run(verbs.delete(self.namespace, name, propagation, wait=wait, timeout=timeout))

    async def logs(  # noqa: PLR0913 - what a user may ask for
        self,
        name: str,
        rank: int | None = None,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in Client
        image: str = "",
        stored: bool = True,
    ) -> AsyncIterator[str]:
        """The output of a job's ranks; see Client.logs."""
        options = LogOptions(rank, follow, tail, since, timeout)
        job = await self._run(verbs.logged_job(self.namespace, name, options))

        def storage() -> Sequence[str]:
            return stored_logs(connect(*self._access), job, rank, image)

        async for line in self._iterate(verbs.logs(job, options, storage if stored else None)):
            yield line

    async def events(self, name: str) -> Sequence[ClusterEvent]:
        """What the cluster has noted about a job and its pods; see Client.events."""
        return await self._run(verbs.events(self.namespace, name))

    async def pods(self, name: str) -> Sequence[WorkerPod]:
        """A job's worker pods; see Client.pods."""
        return await self._run(verbs.pods(self.namespace, name))

    async def usage(self, name: str) -> Sequence[PodUsage]:
        """What a job's pods use of CPU and memory; see Client.usage."""
        return await self._run(verbs.usage(self.namespace, name))

    async def explain(self, name: str) -> str:
        """A job's story in a few lines of plain English; see Client.explain."""
        return await self._run(verbs.explain(self.namespace, name))

    async def _patch(self, name: str, change: Mapping[str, Any]) -> DLTrainJob:
        return await self._run(verbs.patch(self.namespace, name, change))

    async def _run(self, program: Program[T]) -> T:
        return await AsyncDriver(self._connection).run(program)

    def _iterate(self, program: Program[Any]) -> AsyncIterator[Any]:
        return AsyncDriver(self._connection).iterate(program)
