"""Every write of a run, with everything that can go wrong with it: nothing that must hold is violated."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence

import pytest

from dltrain_operator.apply import Cluster, connected
from tests.apiserver import ApiServer, api_server
from tests.faults.naive import Naive
from tests.faults.proxy import FAULTS
from tests.faults.scenario import Make, Ours, Rehearsal
from tests.faults.world import World

__all__ = ["api_server"]

EVERY_WRITE = bool(os.environ.get("FAULT_EVERY_WRITE"))
"""`make faults` tries each fault with every write; otherwise each is tried with two of them, other ones for each."""
PAIRS = int(os.environ.get("FAULT_PAIRS", "50"))
"""`make faults` tries 2,000."""
TOGETHER = 16
"""Runs at a time, each in a namespace of its own: the API server and this process keep a core each busy."""


@pytest.fixture
async def admin(api_server: ApiServer) -> AsyncIterator[Cluster]:
    """An administrator's connection."""
    async with connected(api_server.kubeconfig, TOGETHER) as cluster:
        yield cluster


async def played(admin: Cluster, make: Make, faults: dict[int, str]) -> tuple[list[str], int]:
    """The violations and the number of writes of one run."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "faults-"}}
    namespace = (await admin._request("create", "/api/v1/namespaces", None, body))["metadata"]["name"]
    return await Rehearsal(World(admin, namespace), make, faults).play()


async def violated(admin: Cluster, runs: Sequence[dict[int, str]]) -> dict[str, list[str]]:
    """The violations of those runs that had any, by their faults."""
    found: dict[str, list[str]] = {}
    waiting = iter(enumerate(runs, 1))

    async def work() -> None:
        for number, faults in waiting:  # each takes what is next
            violations, _ = await played(admin, Ours, faults)
            if violations:
                found[str(faults)] = violations
            if number % 100 == 0:
                sys.stderr.write(f"{number} of {len(runs)} runs, {len(found)} with violations\n")

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(work())
    return found


WRITES = 20
"""Of the reference run."""


async def test_without_faults_nothing_is_violated(admin: Cluster) -> None:
    violations, writes = await played(admin, Ours, {})
    assert (violations, writes) == ([], WRITES)


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_single_fault_violates_anything(admin: Cluster, fault: str) -> None:
    numbers = range(WRITES) if EVERY_WRITE else random.Random(fault).sample(range(WRITES), 2)
    assert await violated(admin, [{number: fault} for number in numbers]) == {}


async def test_no_pair_of_faults_violates_anything(admin: Cluster) -> None:
    choose = random.Random(7)
    pairs = [{number: choose.choice(FAULTS) for number in choose.sample(range(WRITES), 2)} for _ in range(PAIRS)]
    assert await violated(admin, pairs) == {}


async def test_the_same_faults_find_at_least_three_violations_in_a_naive_operator(admin: Cluster) -> None:
    rules = set[str]()
    for faults in ({}, {1: "kill after commit"}, {2: "timeout after commit"}, {6: "500"}, {4: "stale restart"}):
        rules |= set((await played(admin, Naive, faults))[0])
    assert len(rules) >= 3, rules
