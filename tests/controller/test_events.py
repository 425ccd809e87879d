"""Events: one for every transition, and none that anybody waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dltrain.api.status import Failure, JobStatus
from dltrain.errors import ClusterError
from dltrain_operator.events import JobEvent, Recorder, event_manifest, transition_events
from dltrain_operator.status import Reason, with_conditions, with_phase
from tests.controller.builders import NOW, UID, job


def status(reason: str, message: str = "why", **values: bool) -> JobStatus:
    """A status with conditions, by name."""
    conditions: Any = list(values.items())
    return with_phase(with_conditions(JobStatus(), conditions, reason, message, NOW))


PENDING = status(Reason.PENDING, Accepted=True, Running=False)


@pytest.mark.parametrize(
    ("old", "new", "events"),
    [
        pytest.param(PENDING, PENDING, [], id="nothing changed"),
        pytest.param(JobStatus(), PENDING, [JobEvent("Accepted", "why")], id="accepted"),
        pytest.param(
            PENDING,
            status(Reason.STARTING, "all run", Accepted=True, Running=False),
            [JobEvent("Started", "all run")],
            id="started",
        ),
        pytest.param(
            PENDING, status(Reason.RUNNING, "attempt 1", Running=True), [JobEvent("Running", "attempt 1")], id="runs"
        ),
        pytest.param(
            status(Reason.RUNNING, Running=True),
            status(Reason.RESTARTING, "1 of 2", Running=False),
            [JobEvent("Restarting", "1 of 2", "Warning")],
            id="restarts",
        ),
        pytest.param(
            status(Reason.RUNNING, Running=True),
            status(Reason.SUSPENDED, Running=False, Suspended=True),
            [JobEvent("Suspended", "why")],
            id="suspended",
        ),
        pytest.param(
            status(Reason.SUSPENDED, Running=False, Suspended=True),
            status(Reason.RESUMED, Running=False, Suspended=False),
            [JobEvent("Resumed", "why")],
            id="resumed",
        ),
        pytest.param(
            PENDING,
            status("UserError", Running=False, Failed=True),
            [JobEvent("Failed", "why", "Warning")],
            id="failed",
        ),
    ],
)
def test_events_of_a_transition(old: JobStatus, new: JobStatus, events: list[JobEvent]) -> None:
    assert list(transition_events(old, new)) == events


def test_a_restart_after_a_failure_names_it() -> None:
    restarting = status(Reason.RESTARTING, "all workers run", Running=False)
    failed = restarting.model_copy(update={"failure": Failure(reason="UserError", message="rank 1 exited with 3")})
    assert [event.note for event in transition_events(status(Reason.RUNNING, Running=True), failed)] == [
        "rank 1 exited with 3; all workers run"
    ]


def test_an_event_as_the_api_takes_it() -> None:
    manifest = event_manifest(JobEvent("Failed", "é" * 600, "Warning"), job(), NOW)
    assert manifest.pop("reportingInstance")
    assert manifest == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "cifar-", "namespace": "ml"},
        "eventTime": "2026-03-01T12:00:00.000000Z",
        "type": "Warning",
        "reason": "Failed",
        "action": "Reconcile",
        "note": "é" * 500,
        "reportingController": "dltrain.io/dltrain-operator",
        "regarding": {
            "apiVersion": "dltrain.io/v1alpha1",
            "kind": "DLTrainJob",
            "namespace": "ml",
            "name": "cifar",
            "uid": UID,
        },
    }


async def test_a_refused_event_hurts_nobody() -> None:
    posted: list[Any] = []
    both = asyncio.Event()

    async def post(manifest: Any) -> None:
        posted.append(manifest["note"])
        if len(posted) == 2:
            both.set()
        raise ClusterError("events are forbidden here")

    recorder = Recorder(post)
    recorder.record({"note": "first"})
    recorder.record({"note": "second"})
    task = asyncio.create_task(recorder.run())
    await asyncio.wait_for(both.wait(), 10)
    task.cancel()
    assert posted == ["first", "second"]


def test_events_that_nobody_takes_are_dropped() -> None:
    recorder = Recorder(lambda _: asyncio.sleep(0))
    for count in range(5000):
        recorder.record({"note": count})
    assert recorder._waiting.qsize() == 1000
