"""Filling the cache by lists: before the first step, and again whenever a watch may have missed a deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from dltrain import names
from dltrain.errors import ClusterError
from dltrain_operator.apply import Cluster
from dltrain_operator.cache import Cache
from dltrain_operator.patience import patiently
from dltrain_operator.profile_record import profile_record
from dltrain_operator.records import READERS, JobKey, JobRecord

INTERVAL_SECONDS: Final = 300.0
"""Between lists while nothing seems to be missed."""
SETTLE_SECONDS: Final = 1.0
"""A watch that starts over lists its objects one after another; this waits for the last of them."""


class Inventory:
    """Keeps the cache complete and free of what no longer exists."""

    def __init__(
        self, cluster: Cluster, cache: Cache, namespaces: Sequence[str], changed: Callable[[JobKey], None]
    ) -> None:
        """Prepare to list.

        Args:
            cluster: the connection.
            cache: what to fill.
            namespaces: where to look; none means everywhere.
            changed: called with every job that a list told something new of.
        """
        self._cluster, self._cache, self._changed = cluster, cache, changed
        self._namespaces = namespaces or ("",)
        self._suspect = asyncio.Event()
        self._listed: dict[tuple[str, str], int] = {}

    def suspect(self) -> None:
        """A watch has started over: what was deleted in between, it will never tell."""
        self._suspect.set()

    async def fill(self) -> None:
        """List everything, again and again until that succeeds; the DLTrainJob kind may not be installed yet."""
        await patiently(self.refresh, ClusterError)

    async def refresh(self) -> None:
        """List everything once.

        Raises:
            ClusterError: a list failed; what was listed before it is in the cache.
        """
        await self._refresh_profiles()  # before the jobs that name them
        for kind in READERS:
            for namespace in self._namespaces:
                await self.list_again(kind, namespace)

    @property
    def listed(self) -> Mapping[tuple[str, str], int]:
        """Kind and namespace, empty for all -> the resourceVersion of the newest list."""
        return self._listed

    async def run(self) -> None:
        """List again when something may have been missed, until cancelled."""
        while True:
            with suppress(TimeoutError):  # without a suspicion too, now and then
                await asyncio.wait_for(self._suspect.wait(), INTERVAL_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
            self._suspect.clear()
            await patiently(self.refresh, ClusterError)

    async def list_again(self, kind: str, namespace: str) -> int:
        """List one kind in one namespace; the list's resourceVersion.

        Raises:
            ClusterError: the list failed.
        """
        selector = "" if kind == JobRecord.kind else names.JOB_LABEL
        present, version = set(), 0
        async for page in self._cluster.pages(kind, namespace, selector):
            version = version or int(page["metadata"]["resourceVersion"])
            for item in page["items"]:
                record = READERS[kind](item)
                if record is not None:
                    present.add(record.uid)
                    self._note(record.key, known=not self._cache.put(record))
        for key in self._cache.sweep(kind, namespace, present, version):
            self._changed(key)
        self._listed[kind, namespace] = version
        return version

    async def _refresh_profiles(self) -> None:
        present, version, news = set(), 0, False
        async for page in self._cluster.pages(names.PROFILE_KIND, "", ""):
            version = version or int(page["metadata"]["resourceVersion"])
            records = [profile_record(item) for item in page["items"]]
            present |= {record.uid for record in records}
            news = sum(self._cache.put_profile(record) for record in records) > 0 or news
        if self._cache.sweep_profiles(present, version) or news:
            for key in self._cache.waiting():
                self._changed(key)

    def _note(self, key: JobKey, *, known: bool) -> None:
        if not known:
            self._changed(key)
