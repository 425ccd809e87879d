"""The operator's parts, tied together: watch events and messages go in, looks at jobs come out."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Self

from dltrain.api.channel import GroupStatus
from dltrain_operator.apply import Cluster
from dltrain_operator.cache import Cache
from dltrain_operator.events import Recorder
from dltrain_operator.inventory import Inventory
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.observer import Observers
from dltrain_operator.queue import WorkQueue
from dltrain_operator.reconcile import Reconciler, Tools
from dltrain_operator.records import READERS, JobKey, Object
from dltrain_operator.settings import Settings
from dltrain_operator.site import Site

log = logging.getLogger(__name__)

PROGRESS_SECONDS: Final = 1.0
"""For how long progress alone is gathered before the job is looked at."""


class Controller:
    """Everything that lives as long as the operator."""

    def __init__(self, cluster: Cluster, keys: MasterKeys, settings: Settings) -> None:
        self.cluster = cluster
        self._cache = Cache()
        self._observers = Observers(keys, self.heard)
        self._recorder = Recorder(cluster.create)
        tools = Tools(self._cache, cluster, self._observers, self._recorder)
        site = Site(image=settings.image, namespace=settings.operator_namespace, key_version=keys.newest)
        self._queue = WorkQueue(Reconciler(tools, keys, site), settings.workers)
        self._inventory = Inventory(cluster, self._cache, settings.namespaces, self._queue.add)
        self._filled = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def __copy__(self) -> Self:
        return self  # kopf copies what it hands to handlers, once for every object it watches

    async def fill(self) -> None:
        """Learn everything that exists; without it, a pod that is there would seem to be missing."""
        await self._inventory.fill()
        log.info("everything that exists is known; jobs are served from now on")
        self._filled.set()

    async def run(self) -> None:
        """Work, once everything that exists is known, until told to stop."""
        self._work = asyncio.current_task()
        try:
            await self._filled.wait()
            async with asyncio.TaskGroup() as tasks:
                for part in (self._queue, self._recorder, self._inventory):
                    tasks.create_task(part.run())
        finally:
            self._observers.stop()

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
        news = self._cache.remove(record) if change == "DELETED" else self._cache.put(record)
        if news:
            self._queue.add(record.key)

    def heard(self, key: JobKey, pod: str, status: GroupStatus) -> None:
        """Take what the coordinator of a job says.

        Args:
            key: the job.
            pod: the uid of the coordinator's pod.
            status: what it said.
        """
        if self._cache.hear(key, pod, status):
            self._queue.add(key)
        else:
            self._queue.add_later(key, PROGRESS_SECONDS)
