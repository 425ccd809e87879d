"""Watches of what jobs own: pods, ConfigMaps, Services and NetworkPolicies. Jobs and profiles are watched by kopf.

A watch begins where the list before it ended and goes on where the watch before it ended, so that nothing is missed in
between; where the API server has forgotten that moment, the kind is listed again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from dltrain import names
from dltrain.errors import ClusterError
from dltrain_operator.answers import GoneError
from dltrain_operator.apply import Cluster
from dltrain_operator.inventory import Inventory
from dltrain_operator.patience import delays, patiently
from dltrain_operator.records import CHILD_KINDS, Object, PodRecord

log = logging.getLogger(__name__)

OWNED: Final = frozenset({PodRecord.kind, *CHILD_KINDS})
CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
PAUSE_SECONDS: Final = 0.1
"""Before a watch that has ended begins again."""


class Watches:
    """Hears of every change of what jobs own."""

    def __init__(self, cluster: Cluster, inventory: Inventory, seen: Callable[[str, str, Object], None]) -> None:
        """Prepare to watch.

        Args:
            cluster: the connection.
            inventory: has listed everything once when `run` begins.
            seen: takes the kind, the change (ADDED, MODIFIED or DELETED) and the object.
        """
        self._cluster, self._inventory, self._seen = cluster, inventory, seen

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for (kind, namespace), version in self._inventory.listed.items():
                if kind in OWNED:
                    tasks.create_task(self._follow(kind, namespace, version))

    async def _follow(self, kind: str, namespace: str, version: int) -> None:
        """Watch one kind in one namespace."""
        waits = delays()
        while True:
            pause = PAUSE_SECONDS
            try:
                async for event in self._cluster.watch(kind, namespace, names.JOB_LABEL, version):
                    version, waits = int(event["object"]["metadata"]["resourceVersion"]), delays()
                    if event["type"] in CHANGES:
                        self._hand_on(kind, event)
            except GoneError:
                version = await patiently(partial(self._inventory.list_again, kind, namespace), ClusterError)
            except ClusterError as error:
                log.warning("%s", error)
                pause = next(waits)
            await asyncio.sleep(pause)

    def _hand_on(self, kind: str, event: Object) -> None:
        try:
            self._seen(kind, event["type"], event["object"])
        except Exception:  # what one object reveals must not end the watch of all others
            log.exception("%s: an event was not understood", kind)
