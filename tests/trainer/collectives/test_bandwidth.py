"""How fast ranks exchange data: who meets whom, what the figures mean, and who is called slow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltrain.api.progress import Bandwidth
from dltrain_trainer.distributed.bandwidth import (
    bus_bandwidth,
    measure,
    pair_speeds,
    partner_of,
    rounds,
    shown,
    slow_among,
    told,
)
from tests.trainer.group import ThreadCommunicator, on_ranks


@given(machines=st.integers(2, 200))
def test_in_every_round_machines_are_in_pairs_and_each_meets_two_others(machines: int) -> None:
    met: dict[int, set[int]] = {place: set() for place in range(machines)}
    for number in range(rounds(machines)):
        pairs = {place: partner_of(place, machines, number) for place in range(machines)}
        for place, partner in pairs.items():
            if partner is not None:
                assert partner != place
                assert pairs[partner] == place
                met[place].add(partner)
        assert sum(partner is None for partner in pairs.values()) == machines % 2
    assert all(len(others) >= min(2, machines - 1) for others in met.values())


@pytest.mark.parametrize(("ranks", "share"), [(2, 1.0), (4, 1.5), (1000, 1.998)])
def test_a_sum_is_told_as_what_each_link_has_carried(ranks: int, share: float) -> None:
    assert bus_bandwidth(10**9, 0.5, ranks) == pytest.approx(share * 2e9)


@pytest.mark.parametrize(
    ("best", "slow"),
    [
        pytest.param({"a": 9.0, "b": 8.0, "c": 8.5, "d": 1.0}, ("d",), id="one"),
        pytest.param({"a": 9.0, "b": 3.0, "c": 8.5, "d": 1.0, "e": 8.0}, ("d", "b"), id="the slowest first"),
        pytest.param({"a": 9.0, "b": 5.0, "c": 8.5}, (), id="over half is not slow"),
        pytest.param({"a": 9.0, "b": 1.0}, (), id="of two nobody knows"),
        pytest.param({}, (), id="one machine"),
    ],
)
def test_a_machine_that_is_slow_with_everyone_is_named(best: dict[str, float], slow: tuple[str, ...]) -> None:
    assert slow_among(best) == slow


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_every_machine_gets_a_figure_and_all_ranks_the_same_ones(size: int) -> None:
    def work(communicator: ThreadCommunicator) -> dict[int, float]:
        return pair_speeds(communicator, range(size), 1 << 16)

    first, *others = on_ranks(size, work)
    assert list(first) == [*range(size)]
    assert all(speed > 0 for speed in first.values())
    assert others == [first] * (size - 1)


def test_ranks_that_share_their_machine_with_a_leader_take_no_part_in_pairs() -> None:
    found = on_ranks(3, lambda communicator: measure(communicator, torch.device("cpu"), "here"))
    assert [(each.pairs, each.slow) for each in found] == [(None, ())] * 3, "local ranks 0, 1 and 2: one machine"


def test_the_log_names_the_figures_and_the_slow() -> None:
    whole = Bandwidth(allreduce=shown(1.2345e9), pairs=0.5, slow=("cifar-3",))
    assert told(whole) == (
        "the ranks sum 1.23 GB/s, 0.5 GB/s between pods, both ways together; "
        "less than half of that with cifar-3: look at the network there"
    )
    assert told(Bandwidth(allreduce=2.0)) == "the ranks sum 2 GB/s"
