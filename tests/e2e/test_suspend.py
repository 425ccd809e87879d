"""A suspended job holds no pods and goes on from its checkpoint when it is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.host import wait_for
from tests.cluster.images import TRAINER
from tests.e2e.jobs import reader
from tests.e2e.live import Space
from tests.e2e.training import BATCH, SAMPLES, SLOWLY, counted_job, hurry, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

JOB = "put-off"
EPOCHS = 12


def test_a_resumed_job_goes_on_from_its_checkpoint_and_does_every_step_once(space: Space, tmp_path: Path) -> None:
    submit(space, counted_job(JOB, epochs=EPOCHS, milliseconds=SLOWLY))
    client = space.client
    space.await_job(JOB, "has a checkpoint", lambda job: job.status.checkpoint, 120)
    client.suspend(JOB)
    suspended = space.await_job(JOB, "is suspended", lambda job: job.status.phase == "Suspended")
    wait_for("the pods to go", lambda: not space.pods(JOB), 60)
    assert suspended.status.is_true("Suspended")
    kept = list(client.logs(JOB, rank=1, image=TRAINER.name))
    assert kept, "what the storage keeps, for the pods have gone"
    assert {line[:9] for line in kept} == {"[rank 1] "}
    client.resume(JOB)
    hurry(space, space.await_job(JOB, "runs again", lambda job: job.status.is_true("Running"), 120))
    finished = client.wait(JOB, timeout=180)
    assert (finished.status.attempt, finished.status.restarts.total) == (2, 0)
    with reader(space) as claim:
        stored = claim.copy(f"{JOB}-{finished.metadata.uid[:8]}", tmp_path)
    lines = [json.loads(line) for line in (stored / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, EPOCHS * SAMPLES // BATCH + 1))
    first_of_second = next(line["step"] for line in lines if line["attempt"] == 2)
    assert first_of_second > 1
    assert any(f"{first_of_second - 1} steps are done" in line for line in client.logs(JOB, rank=0))
