"""The reference run: a job starts, loses a worker, is suspended, resumes, ends; its pods are cleared away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from dltrain import names
from dltrain.errors import ClusterError
from dltrain_operator.cache import Cache
from dltrain_operator.clock import utc_now
from dltrain_operator.events import Recorder
from dltrain_operator.inventory import Inventory
from dltrain_operator.lag import WatchLag
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.metrics import Metrics
from dltrain_operator.observer import Observers
from dltrain_operator.plan import make_plan
from dltrain_operator.reconcile import Reconciler, Tools
from dltrain_operator.records import READERS, JobKey, Object
from dltrain_operator.site import Site
from tests.faults.invariants import Judge
from tests.faults.proxy import Killed, Proxy
from tests.faults.world import World

KEYS: Final = MasterKeys({"1": bytes(32)})
SITE: Final = Site(image="trainer", namespace="dltrain-system", key_version="1")
ROUNDS: Final = 60
"""More looks than any stage needs; an operator that is not at rest by then never will be."""


class Operator(Protocol):
    """One life of an operator: what it has seen, and what it does about it."""

    async def start(self) -> None:
        """Learn what exists."""

    def seen(self, change: str, body: Object) -> None:
        """Take a watch event."""

    async def look(self, key: JobKey) -> None:
        """Do what is to be done."""


class Ours:
    """The operator's own parts, without kopf and without a process."""

    def __init__(self, proxy: Any, namespace: str) -> None:
        self._cache = Cache()
        observers = Observers(KEYS, lambda *_: None)
        observers.follow = lambda *_: None  # type: ignore[method-assign]  # no agent runs that could be dialled
        tools = Tools(
            self._cache, proxy, observers, Recorder(proxy.create), Metrics(), WatchLag(lambda _: None)
        )  # fmt: skip
        self._reconcile = Reconciler(tools, KEYS, SITE)
        self._inventory = Inventory(proxy, self._cache, (namespace,), lambda _: None)

    async def start(self) -> None:
        """Fill the cache."""
        await self._inventory.refresh()

    def seen(self, change: str, body: Object) -> None:
        """Take a watch event, as the controller does."""
        record = READERS[body["kind"]](body)
        if record is not None:
            _ = self._cache.remove(record) if change == "DELETED" else self._cache.put(record)

    async def look(self, key: JobKey) -> None:
        """Reconcile once; the same input gives the same plan."""
        observed, now = self._cache.observed(key), utc_now()
        if observed is not None:
            assert make_plan(observed, now, SITE) == make_plan(observed, now, SITE), "same input, same bytes"
        await self._reconcile(key)


Make = Callable[[Any, str], Operator]


class Rehearsal:
    """The reference run, with faults."""

    def __init__(self, world: World, make: Make, faults: Mapping[int, str]) -> None:
        self._world, self._make, self._faults = world, make, faults
        self._old: list[tuple[str, Object]] = []

    async def play(self) -> tuple[list[str], int]:
        """Play it to its end.

        Returns:
            The rules that were violated, and the number of writes.
        """
        world = self._world
        await world.submit()
        self.judge = Judge(str(world.job["metadata"]["uid"]))
        self.proxy = Proxy(world, self.judge, self._faults)
        await self._restart()
        stages: list[tuple[Callable[[], Awaitable[None]], ...]] = [
            (),
            (world.run,),
            (lambda: world.end(1, 137), world.run),
            (lambda: world.suspend(value=True),),
            (lambda: world.suspend(value=False),),
            (world.run,),
            (lambda: world.end(1, 0), lambda: world.end(0, 0)),
            (world.lose_pods,),
        ]
        for events in stages:
            for event in events:
                await event()
            await self._settle()
        await world.check()
        if self.judge.terminal != "Succeeded":
            self.judge.violations.append("the job comes to its end")
        return self.judge.violations, self.proxy.writes

    async def _restart(self) -> None:
        self._operator = self._make(self.proxy, self._world.namespace)
        await self._operator.start()

    async def _settle(self) -> None:
        """Tell the operator what has changed and let it act, until nothing changes any more."""
        for _ in range(ROUNDS):
            told = await self._tell()
            before = self.proxy.writes
            failed = await self._act()
            if not (told or failed or self.proxy.due or self._world.backlog) and self.proxy.writes == before:
                break
        else:
            self.judge.violations.append("the operator comes to rest")
        self.judge.settled(self._world.job, self._world.workers)
        if not self._world.stranger_is_untouched:
            self.judge.violations.append("no write to an object that is not ours")

    async def _act(self) -> bool:
        """One look; whether it failed and is to be tried again."""
        try:
            await self._operator.look(self._world.key)
        except Killed:
            await self._restart()
            return True
        except ClusterError:
            return True
        return False

    async def _tell(self) -> bool:
        """Hand on what has changed, as the watches would that have these faults."""
        events, self._world.backlog = self._world.backlog, []
        due, self.proxy.due = self.proxy.due, []
        for fault in due:
            events = await self._disturbed(fault, events)
        for change, body in events:
            self._operator.seen(change, body)
        self._old = events or self._old
        return bool(events)

    async def _disturbed(self, fault: str, events: list[tuple[str, Object]]) -> list[tuple[str, Object]]:
        if fault == "duplicated event":
            return [event for event in events for _ in range(2)]
        if fault == "delayed kind":
            self._world.backlog += [event for event in events if event[1]["kind"] == "Pod"]
            return [event for event in events if event[1]["kind"] != "Pod"]
        if fault in {"dropped event", "410"}:  # the list that follows a watch's end tells what was missed
            await self._operator.start()
            return [] if fault == "dropped event" else [event for event in events if event[0] != "DELETED"]
        await self._restart()  # stale restart: a new process is told the past once more
        return [*((change, body) for change, body in self._old if body["kind"] != names.KIND), *events]
