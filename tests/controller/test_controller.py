"""The operator's parts, tied together: who looks at which job, on whose word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dltrain_operator.actions import Target
from dltrain_operator.controller import Controller
from dltrain_operator.master_key import MasterKeys
from dltrain_operator.metrics import Metrics
from dltrain_operator.observed import Notes
from dltrain_operator.settings import Settings
from tests.controller.builders import KEY, NOW, UID, job_object, later, progress, says

TURNS = 100
"""Of the event loop: more than anything takes that waits for nothing."""
KEYS = MasterKeys({"1": b"m" * 32})
COORDINATOR = Target(pod="uid-cifar-0-1", address="10.0.0.0", job=UID, key_version="1")


def named(name: str, version: int = 100, uid: str = "", **fields: Any) -> dict[str, Any]:
    """A job of that name."""
    given = job_object(**fields)
    metadata = {**given["metadata"], "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {**given, "metadata": metadata}


class ListedCluster:
    """Answers lists, and nothing else."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = list(jobs)
        self.writable = True
        self.listing: Callable[[str], object] = lambda _: None
        """Called with each kind that is listed, before its list is answered."""

    async def pages(self, kind: str, namespace: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        self.listing(kind)
        items = self.jobs if kind == "DLTrainJob" else []
        yield {"metadata": {"resourceVersion": "500"}, "items": items}

    def may_write(self) -> bool:
        return self.writable

    async def watch(self, *_: Any) -> AsyncIterator[dict[str, Any]]:
        await asyncio.Event().wait()
        yield {}

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError(manifest)


class Bench:
    """A controller without kopf, and a cluster that has the given jobs."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.cluster, self.metrics = ListedCluster(*jobs), Metrics()
        cluster: Any = self.cluster
        self.controller = Controller(cluster, KEYS, Settings(gang_scheduler="none"), self.metrics)

    @property
    def leader(self) -> float | None:
        """Whether it leads, as Prometheus is told."""
        return self.metrics.registry.get_sample_value("dltrain_leader")

    async def leads(self) -> None:
        """Wait until it says so."""
        for _ in range(TURNS):
            if self.leader:
                return
            await asyncio.sleep(0)
        raise AssertionError("it does not lead")

    def tell(self, change: str, job: dict[str, Any]) -> None:
        """Play the watch of jobs."""
        self.controller.seen("DLTrainJob", change, job)

    @property
    def depth(self) -> float | None:
        """How many jobs wait to be looked at, as Prometheus is told."""
        return self.metrics.registry.get_sample_value("dltrain_queue_depth")

    def notes(self) -> Notes:
        """What the process knows of the one job."""
        seen = self.controller._cache.observed(KEY)
        assert seen is not None
        return seen.notes


async def test_a_stand_by_queues_nothing_and_everything_that_exists_once_it_leads() -> None:
    bench = Bench(named("a"), named("b"))
    await bench.controller.fill()
    bench.tell("ADDED", named("c", 600))
    bench.tell("MODIFIED", named("a", 601, replicas=3))
    bench.tell("DELETED", named("b", 602))
    bench.controller.seen_profile("ADDED", {"metadata": {"name": "p", "uid": "p", "resourceVersion": "603"}})
    assert bench.depth == 0
    bench.cluster.jobs = [named("a", 601, replicas=3), named("c", 600)]
    bench.cluster.listing = lambda _: bench.tell("ADDED", named("d", 604))
    await bench.controller.lead()
    assert bench.depth == 3, "a, c, and d, of which the watch told while the lists were under way"
    bench.tell("ADDED", named("e", 605))
    assert bench.depth == 4


async def test_an_operator_that_leads_from_its_start_queues_every_job_that_it_finds() -> None:
    bench = Bench(named("a"), named("b"))
    await bench.controller.lead()
    assert bench.depth == 0
    await bench.controller.fill()
    assert bench.depth == 2


async def test_a_leader_whose_lease_is_not_renewed_is_not_ready_and_does_not_say_that_it_leads() -> None:
    bench = Bench(named("a"))
    await bench.controller.lead()
    await bench.controller.fill()
    working = asyncio.create_task(bench.controller.run())
    await bench.leads()
    assert (bench.controller.ready(), bench.leader) == ("", 1)
    bench.cluster.writable = False
    assert (bench.controller.ready(), bench.leader) == ("the lease is not renewed", 0)
    working.cancel()
    await asyncio.wait([working])
    assert bench.leader == 0


async def test_an_operator_that_leads_from_its_start_asks_nothing_between_the_lease_and_its_work() -> None:
    controller = Bench().controller
    await controller.find_gangs()
    leading = controller.lead()
    with pytest.raises(StopIteration):
        leading.send(None)  # it has never waited


@pytest.mark.parametrize(
    ("written", "seconds"),
    [pytest.param(0, 10, id="just now"), pytest.param(-7, 3, id="7 s ago"), pytest.param(-60, 1, id="long ago")],
)
async def test_progress_alone_is_looked_at_when_it_may_be_written_and_not_before(
    monkeypatch: pytest.MonkeyPatch, written: float, seconds: float
) -> None:
    monkeypatch.setattr("dltrain_operator.controller.utc_now", lambda: NOW)
    bench = Bench()
    bench.tell("ADDED", named(KEY.name, uid=UID))
    bench.controller.heard(KEY, COORDINATOR, says("running", progress=progress(1)))
    bench.controller._cache.note(KEY, written_at=later(written))
    begun = asyncio.get_running_loop().time()
    bench.controller.heard(KEY, COORDINATOR, says("running", progress=progress(2)))
    assert bench.controller._queue._timers[KEY].when() == pytest.approx(begun + seconds, abs=0.5)


@pytest.mark.parametrize("word", [says("succeeded"), None], ids=["it said", "it cannot be reached"])
async def test_the_word_of_a_deleted_jobs_coordinator_is_not_the_new_ones_of_its_name(word: Any) -> None:
    bench = Bench()
    await bench.controller.lead()
    bench.tell("ADDED", named(KEY.name, uid=UID))
    bench.controller.heard(KEY, COORDINATOR, word)
    assert bench.notes().coordinator or bench.notes().unheard, "while it is this job's"
    bench.tell("DELETED", named(KEY.name, 101, uid=UID))
    bench.controller.heard(KEY, COORDINATOR, word)
    bench.tell("ADDED", named(KEY.name, 102, uid="next"))
    bench.controller.heard(KEY, COORDINATOR, word)
    assert bench.notes() == Notes()
