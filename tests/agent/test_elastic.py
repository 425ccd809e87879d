"""A real group on machines of its own, with real MPI and TLS: it grows and shrinks, and every sample is used once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.api.parse import parse_job
from dltrain_trainer.data.named.mnist import FASHION_MNIST
from tests import paced
from tests.agent.machines import Machines, Observer
from tests.e2e.training import BATCH, SAMPLES, local_job, read_account

EPOCHS = 10
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """Machines for an elastic training of two workers."""
    FASHION_MNIST.locate()  # from which no way leads out
    elastic = {"minReplicas": 1, "maxReplicas": 3, "rejoinTimeoutSeconds": 3}
    document = local_job("grows", epochs=EPOCHS, elastic=elastic).to_manifest()
    document["spec"]["pipeline"]["model"] = paced.at_pace(paced.LOCAL_MODEL, 50)  # it must not end before all happened
    document["metadata"] |= {"namespace": "ml", "uid": "0123456789"}
    made = Machines(tmp_path, parse_job({key: value for key, value in document.items() if key != "status"}))
    try:
        yield made
    finally:
        made.close()


def does_steps_on(observer: Observer, *workers: int) -> GroupStatus:
    """What is said once an attempt on these workers, and no earlier one, has done steps."""

    def on_them(status: GroupStatus) -> bool:
        return (status.state, status.workers) == ("running", workers)

    begun = observer.until(on_them)
    return observer.until(lambda status: on_them(status) and step_of(status) > step_of(begun))


def step_of(status: GroupStatus) -> int:
    """The steps that a status tells of; 0 while it tells of none."""
    return (status.progress.step or 0) if status.progress is not None else 0


@pytest.mark.timeout(290)
def test_a_group_of_two_grows_to_three_shrinks_to_one_and_loses_a_machine_for_good(machines: Machines) -> None:
    for index in (0, 1):
        machines.start(index)
    with machines.observing(2) as observer:
        does_steps_on(observer, 0, 1)
    with machines.observing(3) as observer:
        machines.start(2, past_attempts=1)
        does_steps_on(observer, 0, 1, 2)
    with machines.observing(1) as observer:
        for index in (1, 2):
            machines.end(index)
        does_steps_on(observer, 0)
    with machines.observing(2) as observer:
        machines.start(1, incarnation=2, past_attempts=3)
        does_steps_on(observer, 0, 1)
        machines.kill(1)
        last = does_steps_on(observer, 0)
    assert machines.wait(0, 180) == 0
    kept = read_account(machines.folder / "out")
    assert kept.steps == tuple(range(1, EPOCHS * SAMPLES // BATCH + 1))
    assert kept.uses == {1}
    assert max(kept.attempts) == last.attempt >= 5
    assert kept.accuracy is not None
    assert kept.accuracy > 0.8
