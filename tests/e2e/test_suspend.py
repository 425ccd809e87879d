"""A suspended job holds no pods and goes on from its checkpoint when it is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dltrain.api.parse import parse_job
from tests.cluster.host import wait_for
from tests.cluster.images import TRAINER
from tests.e2e.jobs import example, reader
from tests.e2e.live import Space

pytestmark = pytest.mark.e2e

EPOCHS = 16
SAMPLES = 6000


def test_a_resumed_job_goes_on_from_its_checkpoint_and_does_every_step_once(space: Space, tmp_path: Path) -> None:
    job = example("01-fashion-cnn")
    job["spec"]["pipeline"]["data"]["limit"] = {"train": SAMPLES, "test": 1000}
    job["spec"]["pipeline"]["train"]["epochs"] = EPOCHS
    job["spec"]["checkpoint"] = {"everySeconds": 1}  # that one is there before the job is suspended
    space.apply(example("01-fashion-cnn", "storage.yaml"))
    client = space.client
    client.submit(parse_job(job))
    space.await_job("fashion-cnn", "has a checkpoint", lambda job: job.status.checkpoint)
    client.suspend("fashion-cnn")
    suspended = space.await_job("fashion-cnn", "is suspended", lambda job: job.status.phase == "Suspended")
    wait_for("the pods to go", lambda: not space.pods("fashion-cnn"), 60)
    assert suspended.status.is_true("Suspended")
    kept = list(client.logs("fashion-cnn", rank=1, image=TRAINER.name))
    assert kept, "what the storage keeps, for the pods have gone"
    assert {line[:9] for line in kept} == {"[rank 1] "}
    client.resume("fashion-cnn")
    finished = client.wait("fashion-cnn", timeout=180)
    assert (finished.status.attempt, finished.status.restarts.total) == (2, 0)
    with reader(space) as claim:
        stored = claim.copy(f"fashion-cnn-{finished.metadata.uid[:8]}", tmp_path)
    lines = [json.loads(line) for line in (stored / "metrics.jsonl").read_text().splitlines()]
    steps = EPOCHS * -(-SAMPLES // 128)
    assert [line["step"] for line in lines] == list(range(1, steps + 1))
    first_of_second = next(line["step"] for line in lines if line["attempt"] == 2)
    assert first_of_second > 1
    assert any(f"{first_of_second - 1} steps are done" in line for line in client.logs("fashion-cnn", rank=0))
