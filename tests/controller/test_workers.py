"""Which pods a job's workers need."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dltrain_operator.records import PodRecord
from dltrain_operator.workers import Seat, backoff, group_by_worker, seat_workers
from tests.controller.builders import deleting, ended, later, pod


def seats(pods: Sequence[PodRecord], *, incarnations: Sequence[int] = (1, 1), at: float = 600) -> tuple[Seat, ...]:
    """The seats of a job of two workers."""
    return seat_workers(group_by_worker(2, incarnations, pods), frozenset(), later(at))


def test_workers_of_a_new_job_get_their_first_pods() -> None:
    assert seats([], incarnations=()) == (Seat(0, 1, create=True), Seat(1, 1, create=True))


def test_living_pods_are_kept() -> None:
    assert seats([pod(0), pod(1)]) == (Seat(0, 1, pod=pod(0)), Seat(1, 1, pod=pod(1)))


def test_a_pod_with_a_higher_number_than_recorded_counts() -> None:
    assert seats([pod(0, 5), pod(1)])[0] == Seat(0, 5, pod=pod(0, 5))


def test_a_lost_pod_is_replaced_at_once() -> None:
    lost = ended(1, 137, at=599)
    assert seats([pod(0), lost])[1] == Seat(1, 2, create=True, lost=lost, replaces=True)


@pytest.mark.parametrize(
    ("lives", "delay"),
    [
        pytest.param([], 0, id="no pod ended"),
        pytest.param([5], 0, id="the first time at once"),
        pytest.param([5, 5], 1, id="twice"),
        pytest.param([5, 5, 5], 2, id="three times"),
        pytest.param([5] * 5, 8, id="five times"),
        pytest.param([5] * 9, 16, id="capped"),
        pytest.param([500, 5, 500, 5], 1, id="long lives do not count"),
    ],
)
def test_a_worker_that_ends_again_and_again_waits_longer(lives: list[float], delay: float) -> None:
    pods = [ended(1, 1, number, at=life) for number, life in enumerate(lives, start=1)]
    assert backoff(pods).total_seconds() == delay


def test_a_waiting_replacement_says_when_to_look_again() -> None:
    failing = [ended(1, 1, 1, at=0), ended(1, 1, 2, at=2)]
    held = seats([pod(0), *failing], incarnations=(1, 2), at=2.5)[1]
    assert held == Seat(1, 2, pod=failing[1], retry_at=later(3))
    assert seats([pod(0), *failing], incarnations=(1, 2), at=3)[1].create


def test_a_node_whose_clock_is_a_little_ahead_changes_the_wait_by_no_more() -> None:
    failing = [ended(1, 1, 1, at=0), ended(1, 1, 2, at=3)]
    held = seats([pod(0), *failing], incarnations=(1, 2), at=1)[1]
    assert held == Seat(1, 2, pod=failing[1], retry_at=later(4))


def test_a_node_whose_clock_is_far_ahead_delays_nothing() -> None:
    failing = [ended(1, 1, 1, at=0), ended(1, 1, 2, at=900)]
    assert seats([pod(0), *failing], incarnations=(1, 2), at=300)[1] == Seat(
        1, 3, create=True, lost=failing[1], replaces=True
    )


def test_a_pod_that_somebody_deletes_is_replaced_without_delay() -> None:
    gone = deleting(1, 2, until=630)
    assert seats([pod(0), ended(1, 1, 1, at=0), gone], incarnations=(1, 2), at=601)[1] == Seat(
        1, 3, create=True, lost=gone, replaces=True
    )


def test_only_the_newest_ended_pods_of_a_worker_are_kept() -> None:
    failed = [ended(1, 1, number, at=0) for number in range(1, 9)]
    seat = seats([pod(0), *failed, pod(1, 9)], incarnations=(1, 9))[1]
    assert [old.incarnation for old in seat.remove] == [1, 2, 3]


def test_a_pod_that_a_sidecar_keeps_goes_though_nobody_knows_when_its_agent_ended() -> None:
    kept = pod(1, exit_code=137)  # a kubelet that has lost a container says so, without a time
    assert seats([pod(0), kept, pod(1, 2)], incarnations=(1, 2))[1].remove == (kept,)
