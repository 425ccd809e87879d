"""Every write of a run, with everything that can go wrong with it: nothing that must hold is violated."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from typing import Any

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
PAIRS = int(os.environ.get("FAULT_PAIRS", "10"))
"""`make faults` tries 2,000."""


@pytest.fixture
async def admin(api_server: ApiServer) -> AsyncIterator[Cluster]:
    """An administrator's connection."""
    async with connected(api_server.kubeconfig, 8) as cluster:
        yield cluster


async def played(server: ApiServer, admin: Cluster, make: Make, faults: dict[int, str]) -> tuple[list[str], int]:
    """The violations and the number of writes of one run."""
    namespace = server.make_namespace("faults-")
    return await Rehearsal(World(admin, namespace), make, faults).play()


WRITES = 20
"""Of the reference run."""


async def test_without_faults_nothing_is_violated(api_server: ApiServer, admin: Cluster) -> None:
    violations, writes = await played(api_server, admin, Ours, {})
    assert (violations, writes) == ([], WRITES)


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_single_fault_violates_anything(api_server: ApiServer, admin: Cluster, fault: str) -> None:
    numbers = range(WRITES) if EVERY_WRITE else random.Random(fault).sample(range(WRITES), 2)
    found = {number: (await played(api_server, admin, Ours, {number: fault}))[0] for number in numbers}
    assert {number: rules for number, rules in found.items() if rules} == {}


async def test_no_pair_of_faults_violates_anything(api_server: ApiServer, admin: Cluster) -> None:
    choose = random.Random(7)
    found: dict[str, Any] = {}
    for _ in range(PAIRS):
        faults = {number: choose.choice(FAULTS) for number in choose.sample(range(WRITES), 2)}
        violations, _ = await played(api_server, admin, Ours, faults)
        if violations:
            found[str(faults)] = violations
    assert found == {}


async def test_the_same_faults_find_at_least_three_violations_in_a_naive_operator(
    api_server: ApiServer, admin: Cluster
) -> None:
    rules = set[str]()
    for faults in ({}, {1: "kill after commit"}, {2: "timeout after commit"}, {6: "500"}, {4: "stale restart"}):
        rules |= set((await played(api_server, admin, Naive, faults))[0])
    assert len(rules) >= 3, rules
