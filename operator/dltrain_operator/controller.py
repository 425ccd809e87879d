"""The operator's parts, tied together: watch events and messages go in, looks at jobs come out."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Self

from dltrain.api.channel import GroupStatus
from dltrain.errors import ClusterError
from dltrain_operator.actions import Target
from dltrain_operator.apply import Cluster
from dltrain_operator.cache import Cache
from dltrain_operator.clock import utc_now
from dltrain_operator.events import Recorder
from dltrain_operator.gangs import gang_scheduler
from dltrain_operator.inventory import Inventory
from dltrain_operator.lag import WatchLag
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.metrics import Metrics
from dltrain_operator.observer import Observers
from dltrain_operator.pace import pause_after
from dltrain_operator.patience import patiently
from dltrain_operator.profile_record import profile_record
from dltrain_operator.queue import WorkQueue
from dltrain_operator.reconcile import Reconciler, Tools
from dltrain_operator.records import READERS, JobKey, JobRecord, Object
from dltrain_operator.settings import Settings
from dltrain_operator.site import Site
from dltrain_operator.watches import Watches

log = logging.getLogger(__name__)

PROGRESS_SECONDS: Final = 1.0
"""For how long progress alone is gathered, at least, before the job is looked at: nothing comes of it but a status."""

STUCK_SECONDS: Final = 300.0
"""A look at a job sends a few rounds of requests, each of which has a deadline of 30 s."""


class Controller:
    """Everything that lives as long as the operator."""

    def __init__(self, cluster: Cluster, keys: MasterKeys, settings: Settings, metrics: Metrics) -> None:
        self.cluster, self._metrics = cluster, metrics
        self._cache = Cache()
        self._observers = Observers(keys, self.heard)
        self._recorder = Recorder(cluster.create)
        self._lag = WatchLag(metrics.lag.observe)
        tools = Tools(self._cache, cluster, self._observers, self._recorder, metrics, self._lag)
        site = Site(image=settings.image, namespace=settings.operator_namespace, key_version=keys.newest)
        self._reconciler, self._gangs = Reconciler(tools, keys, site), settings.gang_scheduler
        self._queue = WorkQueue(self._reconciler, settings.workers, metrics)
        self._inventory = Inventory(cluster, self._cache, settings.namespaces, self._changed)
        self._watches = Watches(cluster, self._inventory, self.seen)
        self._begun = self._gangs_found = False
        self._filled, self._leading = asyncio.Event(), asyncio.Event()
        metrics.show(self._cache.phases, lambda: self._queue.depth)
        metrics.show_jobs(self._cache.jobs, settings.job_metrics)
        self._work: asyncio.Task[None] | None = None

    def __copy__(self) -> Self:
        return self  # kopf copies what it hands to handlers, once for every object it watches

    async def fill(self) -> None:
        """Learn everything that exists; without it, a pod that is there would seem to be missing."""
        self._begun = True
        await self._inventory.fill()
        log.info("everything that exists is known")
        self._filled.set()

    async def find_gangs(self) -> None:
        """Learn who schedules gangs here.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        self._reconciler.schedule_gangs_by(await gang_scheduler(self.cluster, self._gangs))
        self._gangs_found = True

    async def lead(self) -> None:
        """Serve jobs from now on: no other operator does.

        What the last leader did in its last moments may not have been watched yet: a pod that it made would seem to
        be lost. So everything is listed once more, unless that has not begun. Then every job is looked at: none was
        queued here while another operator led.
        """
        if self._begun:
            await self._filled.wait()
            await self._inventory.fill()
        if self._begun or not self._gangs_found:
            await patiently(self.find_gangs, ClusterError)
        if not self._leading.is_set():
            self._leading.set()
            for job in self._cache.jobs():  # nothing is told in between: what changes from now on is queued as it comes
                self._changed(job.key)

    async def run(self) -> None:
        """Work, once everything that exists is known and no other operator works, until told to stop."""
        self._work = asyncio.current_task()
        try:
            await self._filled.wait()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._inventory.run())
                tasks.create_task(self._watches.run())
                await self._leading.wait()
                log.info("jobs are served from now on")
                self._metrics.leader.set_function(lambda: float(self.cluster.may_write()))
                tasks.create_task(self._queue.run())
                tasks.create_task(self._recorder.run())
        finally:
            self._metrics.leader.set_function(lambda: 0.0)
            self._observers.stop()

    def alive(self) -> str:
        """Why this process cannot go on; empty if it can."""
        if self._work is not None and self._work.done():
            return "the controller has ended"
        if self._queue.longest_look > STUCK_SECONDS:
            return f"one job has been looked at for more than {STUCK_SECONDS:g} s"
        return ""

    def ready(self) -> str:
        """Why no job is served, or could be after a change of leaders; empty if all is well."""
        if not self._filled.is_set():
            return "what exists is being listed"
        return "the lease is not renewed" if self._leading.is_set() and not self.cluster.may_write() else ""

    async def stop(self) -> None:
        """Stop working; returns when nothing is under way any more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    def seen(self, kind: str, change: str | None, body: Object) -> None:
        """Take a watch event.

        Args:
            kind: the kind of object.
            change: ADDED, MODIFIED or DELETED; None if the object was listed, as a watch starts.
            body: the object.
        """
        if change is None:
            self._inventory.suspect()
        record = READERS[kind](body)
        if record is None:
            return
        if isinstance(record, JobRecord):
            self._lag.saw(record)
        news = self._cache.remove(record) if change == "DELETED" else self._cache.put(record)
        if news:
            self._changed(record.key)

    def seen_profile(self, change: str | None, body: Object) -> None:
        """Take a watch event of a profile; jobs that wait for it are looked at again.

        Args:
            change: as in seen.
            body: the profile.
        """
        if change is None:
            self._inventory.suspect()
        record = profile_record(body)
        take = self._cache.remove_profile if change == "DELETED" else self._cache.put_profile
        if take(record):
            for key in self._cache.waiting():
                self._changed(key)

    def heard(self, key: JobKey, coordinator: Target, status: GroupStatus | None) -> None:
        """Take what the coordinator of a job says, unless there is another job of that name by now.

        Args:
            key: the job.
            coordinator: who said it.
            status: what it said; None if it cannot be reached.
        """
        if not self._cache.holds(key, coordinator.job):
            return  # it is listened to until the next look at that name
        if status is None:
            if self._cache.miss(key, coordinator.pod, utc_now()):
                self._changed(key)
            return
        if self._cache.hear(key, coordinator.pod, status):
            self._changed(key)
        else:
            pause = pause_after(self._cache.written_at(key), utc_now())
            self._queue.add_later(key, max(PROGRESS_SECONDS, pause.total_seconds()))

    def _changed(self, key: JobKey) -> None:
        """Look at a job soon, if this operator leads: what a stand-by queues would wait, and be counted, for ever."""
        if self._leading.is_set():
            self._queue.add(key)
