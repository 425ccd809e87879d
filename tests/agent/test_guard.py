"""Ranks that stand still are found among those that wait for them, and why an attempt ended is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from dltrain.api.status import Failure
from dltrain.pulse import IDLE, WAITS, WORKS, Beat, Pulse, pulse_file, read_pulse
from dltrain_agent import events as e
from dltrain_agent import group as g
from dltrain_agent.causes import is_final, loss_of, root_cause
from dltrain_agent.guard import Seen, look, standing_still
from dltrain_agent.state import Attempt, Group
from dltrain_agent.tails import store_tail
from dltrain_agent.watch import take_pulse
from tests.agent.builders import ended


# ---------------------------------------------------------------- pulses
def test_an_agent_reads_what_a_rank_says(tmp_path: Path) -> None:
    pulse = Pulse(pulse_file(tmp_path, 3))
    pulse.beat(WORKS)
    pulse.beat(WAITS, 7)
    pulse.beat(IDLE)
    assert read_pulse(pulse_file(tmp_path, 3)) == Beat(3, 7, IDLE)


def test_the_pulse_of_a_rank_that_has_ended_is_not_taken_for_that_of_the_next(tmp_path: Path) -> None:
    Pulse(pulse_file(tmp_path, 3)).beat(WORKS, 5)
    assert take_pulse(tmp_path, 3) == Beat(1, 5, WORKS)
    assert take_pulse(tmp_path, 3) is None


def test_a_rank_without_an_agent_beats_for_nobody() -> None:
    Pulse(None).beat(WORKS, 1)


def test_time_counts_from_the_first_sight_of_a_beat() -> None:
    first = look({}, {0: Beat(1, 0, WORKS), 1: Beat(1, 0, WORKS)}, 10)
    second = look(first, {0: Beat(1, 0, WORKS), 1: Beat(2, 1, WORKS)}, 15)
    assert second == {0: Seen(Beat(1, 0, WORKS), 10), 1: Seen(Beat(2, 1, WORKS), 15)}
    assert look(second, {}, 20) == {}


@pytest.mark.parametrize(
    ("abouts", "after", "found"),
    [
        pytest.param((WORKS, WAITS), 9.9, [], id="not yet"),
        pytest.param((WORKS, WAITS), 10.0, [0], id="the one that others wait for"),
        pytest.param((IDLE, WAITS), 10.0, [], id="one outside of training"),
        pytest.param((WAITS, WAITS), 10.0, [], id="all wait, but not for long"),
        pytest.param((WAITS, WAITS), 20.0, [0, 1], id="all wait for each other"),
    ],
)
def test_who_stands_still(abouts: tuple[int, int], after: float, found: list[int]) -> None:
    seen = {rank: Seen(Beat(5, 3, about), 100) for rank, about in enumerate(abouts)}
    assert standing_still(seen, 10, 100 + after) == found
    assert standing_still(seen, 0, 1e9) == []


# ---------------------------------------------------------------- causes
@pytest.mark.parametrize("cause", ["DataError", "NaN", "Hang"])
def test_what_is_known_of_a_rank_names_the_cause(cause: str) -> None:
    failure = root_cause([ended(1, 65, cause=cause, step=7)], 1, "exit code 1", ())
    assert (failure.reason, failure.step) == (cause, 7)


@pytest.mark.parametrize(
    ("failure", "before", "final"),
    [
        pytest.param({"reason": "DataError"}, None, True, id="the data is wrong"),
        pytest.param({"reason": "NaN"}, None, True, id="the loss is no number"),
        pytest.param({"exit_code": 64}, None, True, id="asked for"),
        pytest.param({}, None, False, id="the first time"),
        pytest.param({}, {}, True, id="twice at the same step"),
        pytest.param({}, {"step": 8}, False, id="at another step"),
        pytest.param({}, {"message": "other"}, False, id="another error"),
        pytest.param({"exit_code": None}, {"exit_code": None}, False, id="killed twice at the same step"),
        pytest.param({"exit_code": 67}, {"exit_code": 67}, False, id="the data is away for longer"),
        pytest.param({"step": None}, {"step": None}, False, id="a program of the user's"),
    ],
)
def test_when_another_attempt_is_useless(
    failure: dict[str, object], before: dict[str, object] | None, final: bool
) -> None:
    common = {"reason": "UserError", "message": "rank 1 ended", "exit_code": 1, "step": 9}
    earlier = None if before is None else Failure.model_validate({**common, **before})
    assert is_final(Failure.model_validate({**common, **failure}), earlier) is final


def test_an_attempt_that_was_interrupted_is_nobodys_failure() -> None:
    attempt = Attempt(workers=(0, 1))
    group = Group(2, slots=1, backoff_limit=0, state="running", number=1, members={0: 1, 1: 1}, attempt=attempt)
    told = ended(1, 143, interrupted=True, step=30)
    for event in (e.RankEnded(1, told), e.MemberClear(1, 0), e.MemberClear(1, 1)):
        group, _ = g.step(group, event)
    why = Failure(
        reason="Preempted", message="a worker was told to end; the state of step 30 is kept", attempt=1, step=30
    )
    assert (group.state, group.number, group.user_restarts, group.last_restart) == ("running", 2, 0, why)
    assert group.failure is None


def test_a_lost_worker_is_named() -> None:
    assert loss_of((), 3, 2) == Failure(reason="WorkerLost", message="lost the connection to worker 3", attempt=2)


# ---------------------------------------------------------------- logs that outlive pods
def test_the_newest_attempts_logs_are_kept(tmp_path: Path) -> None:
    for attempt in range(1, 9):
        store_tail(tmp_path, attempt, 3, ["one", "two"])
    kept = sorted(each.name for each in (tmp_path / "logs").iterdir())
    assert kept == [f"attempt-{number}" for number in range(4, 9)]
    assert (tmp_path / "logs" / "attempt-8" / "rank-3.log").read_text() == "one\ntwo\n"


def test_a_storage_that_refuses_logs_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").touch()
    store_tail(tmp_path, 1, 0, ["one"])
    assert "the log of rank 0 is not kept" in caplog.text
