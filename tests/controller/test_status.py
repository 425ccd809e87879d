"""Conditions, phases, and when a status is worth a write."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from dltrain.api.progress import Shares
from dltrain.api.status import Condition, Failure, JobStatus, Phase, Results, WorkerCounts
from dltrain_operator.pace import earliest, write_at
from dltrain_operator.status import Reason, absorbed, derive_phase, with_conditions
from tests.controller.builders import NOW, later, progress, says

EMPTY = JobStatus(observed_generation=3)


def running(at: float, *, holds: bool, reason: str = Reason.RUNNING, message: str = "runs") -> Condition:
    """A Running condition."""
    return Condition(
        type="Running",
        status="True" if holds else "False",
        reason=reason,
        message=message,
        last_transition_time=later(at),
        observed_generation=3,
    )


def test_a_condition_keeps_its_transition_time_while_its_value_stays() -> None:
    status = with_conditions(EMPTY, [("Running", True)], Reason.RUNNING, "runs", NOW)
    status = with_conditions(status, [("Running", True)], Reason.RUNNING, "still runs", later(60.7))
    assert status.conditions == (running(0, holds=True, message="still runs"),)
    status = with_conditions(status, [("Running", False)], Reason.RESTARTING, "lost", later(90.7))
    assert status.conditions == (running(90, holds=False, reason="Restarting", message="lost"),)


def test_conditions_have_one_order() -> None:
    status = with_conditions(EMPTY, [("Failed", True), ("Accepted", True)], "Why", "because", NOW)
    status = with_conditions(status, [("Running", False)], "Why", "because", NOW)
    assert [condition.type for condition in status.conditions] == ["Accepted", "Running", "Failed"]


def test_a_message_is_cut_to_a_bearable_length() -> None:
    status = with_conditions(EMPTY, [("Accepted", False)], "Why", "x" * 5000, NOW)
    message = status.conditions[0].message
    assert (len(message), message[-4:]) == (2048, "x...")


@pytest.mark.parametrize(
    ("values", "reason", "phase"),
    [
        pytest.param([], "", "Pending", id="nothing known"),
        pytest.param([("Running", False)], Reason.PENDING, "Pending", id="waiting for workers"),
        pytest.param([("Running", False)], Reason.PREDECESSOR, "Pending", id="waiting for an earlier job to go"),
        pytest.param([("Running", False)], Reason.STARTING, "Starting", id="waiting for the group"),
        pytest.param([("Running", False)], Reason.RESTARTING, "Restarting", id="restarting"),
        pytest.param([("Running", True)], Reason.RUNNING, "Running", id="running"),
        pytest.param([("Running", False), ("Suspended", True)], Reason.SUSPENDED, "Suspended", id="suspended"),
        pytest.param([("Running", False), ("Complete", True)], Reason.COMPLETED, "Succeeded", id="complete"),
        pytest.param([("Running", False), ("Failed", True)], "UserError", "Failed", id="failed"),
    ],
)
def test_the_phase_follows_from_the_conditions(values: Any, reason: str, phase: Phase) -> None:
    assert derive_phase(with_conditions(EMPTY, values, reason, "", NOW)) == phase


def test_counts_never_fall_and_what_a_coordinator_does_not_mention_stays() -> None:
    failure = Failure(reason="UserError")
    status = absorbed(EMPTY, says("ending", 3, user_restarts=2, failure=failure, progress=progress(40)), NOW)
    status = absorbed(status, says("gathering", 0), NOW)
    assert (status.attempt, status.restarts.user, status.failure, status.progress) == (3, 2, failure, progress(40))
    assert absorbed(status, None, NOW) == status


OLD = with_conditions(EMPTY, [("Running", False)], Reason.PENDING, "0 of 2 workers run", NOW)


@pytest.mark.parametrize(
    ("changes", "written_at", "expected"),
    [
        pytest.param({}, later(-1), None, id="no difference"),
        pytest.param({"attempt": 1}, later(-1), NOW, id="an attempt is urgent"),
        pytest.param({"incarnations": (1,)}, later(-1), NOW, id="numbers are urgent"),
        pytest.param({"failure": Failure(reason="UserError")}, later(-1), NOW, id="a failure is urgent"),
        pytest.param({"progress": progress(1)}, later(-1), NOW, id="the first progress is urgent"),
        pytest.param({"workers": WorkerCounts(ready=1, summary="1/2")}, later(-1), later(9), id="a ready pod is not"),
        pytest.param(
            {"results": Results(metrics={"accuracy": 0.9})}, later(-3), later(7), id="results come with the end"
        ),
        pytest.param({"workers": WorkerCounts(ready=1)}, None, NOW, id="nothing written by this process yet"),
    ],
)
def test_when_a_status_is_written(
    changes: dict[str, Any], written_at: datetime | None, expected: datetime | None
) -> None:
    assert write_at(OLD, OLD.model_copy(update=changes), written_at, NOW) == expected


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        pytest.param(Reason.PENDING, "1 of 2 workers run", later(9), id="words can wait"),
        pytest.param(Reason.STARTING, "0 of 2 workers run", NOW, id="a reason cannot"),
    ],
)
def test_when_a_condition_is_written(reason: Reason, message: str, expected: datetime) -> None:
    new = with_conditions(OLD, [("Running", False)], reason, message, NOW)
    assert write_at(OLD, new, later(-1), NOW) == expected


def test_a_clock_that_is_set_back_an_hour_does_not_silence_a_job_for_an_hour() -> None:
    ready = OLD.model_copy(update={"workers": WorkerCounts(ready=1)})
    assert write_at(OLD, ready, later(3600), NOW) == NOW


def test_progress_after_the_first_can_wait() -> None:
    old = OLD.model_copy(update={"progress": progress(1)})
    assert write_at(old, old.model_copy(update={"progress": progress(2)}), later(-1), NOW) == later(9)


def test_the_earliest_of_some_times() -> None:
    assert earliest([None, later(2), later(1), None]) == later(1)
    assert earliest([None]) is None


# ---------------------------------------------------------------- waiting for data
def waiting(status: JobStatus, share: float, at: float) -> JobStatus:
    """The status after a report that training waits for data for this share of its time."""
    said = progress(40).model_copy(update={"time_split": Shares(compute=1 - share, data=share)})
    return absorbed(status, says("running", progress=said), later(at))


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        pytest.param([0.0, 0.1], [None, None], id="never much"),
        pytest.param([0.11, 0.5], ["True", "True"], id="more than a tenth"),
        pytest.param([0.2, 0.07, 0.05, 0.09], ["True", "True", "False", "False"], id="not back and forth in between"),
    ],
)
def test_a_job_that_waits_for_data_in_more_than_a_tenth_of_its_time_is_input_bound(
    shares: list[float], said: list[str | None]
) -> None:
    status, found = EMPTY, []
    for at, share in enumerate(shares):
        status = waiting(status, share, at)
        condition = status.condition("InputBound")
        found.append(condition and condition.status)
    assert found == said


def test_a_report_without_times_leaves_what_is_known_of_waiting() -> None:
    status = waiting(EMPTY, 0.4, 0)
    later_on = absorbed(status, says("running", progress=progress(41)), later(9))
    assert later_on.conditions == status.conditions
