"""Who works: the lease, its holder and its heirs; two operators as processes on one API server."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from dltrain_operator.apply import connected
from dltrain_operator.election import Elector, LeadershipLostError
from dltrain_operator.lease import DURATION_SECONDS, NAME, LeaseRecord, lease_manifest, may_take
from tests.apiserver import ApiServer, free_port, wait_for
from tests.controller.cluster import SYSTEM, OperatorProcess, Space
from tests.controller.test_process import fetched, metrics_of

STANDS_BY = "everything that exists is known"


@pytest.mark.parametrize(
    ("holder", "unchanged", "taken"),
    [
        pytest.param("", 0.0, True, id="given back"),
        pytest.param("me", 0.0, True, id="of an earlier life"),
        pytest.param("other", 9.9, False, id="renewed not long ago"),
        pytest.param("other", 10.0, True, id="not renewed for its whole duration"),
    ],
)
def test_who_may_take_a_lease(holder: str, unchanged: float, taken: bool) -> None:
    assert may_take(LeaseRecord(holder, "7", 1), "me", unchanged) is taken


@pytest.mark.parametrize(
    ("old", "holder", "transitions"),
    [
        pytest.param(None, "me", 0, id="the first holder"),
        pytest.param(LeaseRecord("me", "7", 3), "me", 3, id="a renewal"),
        pytest.param(LeaseRecord("other", "7", 3), "me", 4, id="another holder"),
        pytest.param(LeaseRecord("me", "7", 3), "", 3, id="given back"),
    ],
)
def test_what_a_holder_writes(old: LeaseRecord | None, holder: str, transitions: int) -> None:
    manifest = lease_manifest("system", holder, datetime(2026, 3, 1, tzinfo=UTC), old)
    assert manifest["spec"] == {
        "holderIdentity": holder,
        "leaseDurationSeconds": 10,
        "leaseTransitions": transitions,
        "renewTime": "2026-03-01T00:00:00.000000Z",
    }
    assert manifest["metadata"].get("resourceVersion") == (old and old.version)


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def electors(api_server: ApiServer, namespace: str) -> AsyncIterator[Any]:
    """Makes electors for one lease, all with the same clock."""
    clock = Clock()
    async with AsyncExitStack() as stack:

        async def make(identity: str) -> Elector:
            cluster = await stack.enter_async_context(connected(api_server.kubeconfig, 1))
            return Elector(cluster, namespace, identity, clock)

        make.clock = clock  # type: ignore[attr-defined]  # for the test to move
        yield make


async def test_of_two_that_stand_at_one_time_one_leads(electors: Any) -> None:
    one, other = await electors("one"), await electors("other")
    assert sorted(await asyncio.gather(one.stand(), other.stand())) == [False, True]
    assert one.leads != other.leads


async def test_a_lease_that_is_given_back_is_taken_at_once(electors: Any) -> None:
    one, other = await electors("one"), await electors("other")
    assert await one.stand()
    assert not await other.stand()
    await one.release()
    assert not one.leads
    assert await other.stand()


async def test_a_holder_stops_trusting_its_lease_before_another_may_take_it(electors: Any) -> None:
    one, other = await electors("one"), await electors("other")
    assert await one.stand()
    assert not await other.stand()
    electors.clock.now += 7.0
    assert not one.leads
    assert not await other.stand()
    electors.clock.now += 3.0
    assert await other.stand()


async def test_a_leader_that_slept_finds_that_it_was_replaced(electors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dltrain_operator.election.RENEW_SECONDS", 0.01)
    one, other = await electors("one"), await electors("other")
    assert await one.stand()
    assert not await other.stand()
    electors.clock.now += 20.0
    assert await other.stand()
    with pytest.raises(LeadershipLostError, match="has taken the lease"):
        await one._keep()
    assert (one.leads, other.leads) == (False, True)


# ------------------------------------------------------------ processes
@pytest.fixture
def pair(installed: ApiServer, running_operator: OperatorProcess) -> Iterator[tuple[OperatorProcess, OperatorProcess]]:
    """A leader and its stand-by."""
    running_operator.stop_if_it_runs()
    leader = OperatorProcess(installed, identity="leader")
    standby = OperatorProcess(installed, ("--health-port", str(free_port())), identity="standby", serves=STANDS_BY)
    leader.start()
    standby.start()
    yield leader, standby
    for process in (leader, standby):
        assert process.process is not None
        if process.process.poll() is None:
            process.process.send_signal(signal.SIGCONT)
            process.stop()


def served_after(space: Space, name: str) -> float:
    """Seconds until a new job has its pods."""
    begin = time.monotonic()
    space.submit(name)
    space.await_pods(f"{name}-0-1", f"{name}-1-1")
    return time.monotonic() - begin


def test_a_stand_by_is_ready_and_writes_nothing(pair: tuple[OperatorProcess, OperatorProcess]) -> None:
    leader, standby = pair
    space = Space(leader.server, leader.server.make_namespace())
    served_after(space, "a")
    port = int(standby.arguments[1])
    assert fetched(port, "/readyz") == (200, "ok\n")
    wait_for("it to know the job", lambda: bool(re.search(r"\ndltrain_jobs\{.*\} [1-9]", metrics_of(port))))
    page = metrics_of(port)
    assert "dltrain_leader 0.0" in page
    assert "dltrain_queue_depth 0.0" in page, "it would only grow"
    assert 'verb="create"' not in page
    assert 'verb="patch"' not in page


def test_a_leader_that_ends_in_good_order_hands_over_at_once(pair: tuple[OperatorProcess, OperatorProcess]) -> None:
    leader, standby = pair
    space = Space(leader.server, leader.server.make_namespace())
    assert leader.stop() == 0
    lease = space.server.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{NAME}")
    assert lease["spec"].get("holderIdentity", "") in {"", standby.identity}, "it is given back"
    assert served_after(space, "a") < DURATION_SECONDS, standby.log
    assert set(space.pods()) == {"a-0-1", "a-1-1"}


def test_a_leader_that_is_killed_is_replaced_when_its_lease_has_expired(
    pair: tuple[OperatorProcess, OperatorProcess],
) -> None:
    leader, _ = pair
    space = Space(leader.server, leader.server.make_namespace())
    served_after(space, "a")
    leader.kill()
    space.finish_deletion("a-1-1")
    assert served_after(space, "b") < 2 * DURATION_SECONDS
    space.await_pods("a-1-2")


def test_a_leader_that_was_frozen_and_replaced_ends_without_a_second_pod(
    pair: tuple[OperatorProcess, OperatorProcess],
) -> None:
    leader, _ = pair
    space = Space(leader.server, leader.server.make_namespace())
    served_after(space, "a")
    assert leader.process is not None
    leader.process.send_signal(signal.SIGSTOP)
    served_after(space, "b")
    leader.process.send_signal(signal.SIGCONT)
    assert leader.process.wait(timeout=20) == 1
    assert "another operator" in leader.log
    wait_for("the stand-by alone", lambda: set(space.pods()) == {"a-0-1", "a-1-1", "b-0-1", "b-1-1"})
