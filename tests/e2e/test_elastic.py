"""A job goes on with more workers and with fewer, and every sample of an epoch is still used once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.names import API_VERSION, KIND
from tests.e2e.live import Space
from tests.e2e.training import BATCH, NAME, SAMPLES, SLOWLY, account, counted_job, hurry, steps_done, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

EPOCHS = 60
STEPS = EPOCHS * SAMPLES // BATCH
ENOUGH = 20
"""Steps that each size is to do."""


def runs_on(space: Space, workers: int, of: int) -> DLTrainJob:
    """The job, once an attempt on so many workers has done some steps."""
    words = f"{workers} of {of} workers" if workers != of else "1 worker" if of == 1 else f"{of} workers"

    def on_them(job: DLTrainJob) -> bool:
        running = job.status.condition("Running")
        return job.status.is_true("Running") and running is not None and running.message.endswith(f"runs on {words}")

    before = steps_done(space.await_job(NAME, f"runs on {words}", on_them))
    return space.await_job(NAME, "does some steps", lambda job: on_them(job) and steps_done(job) >= before + ENOUGH)


def autoscaler(minimum: int) -> dict[str, Any]:
    """A HorizontalPodAutoscaler that wants more workers than there are, for which it needs no metrics."""
    spec = {
        "scaleTargetRef": {"apiVersion": API_VERSION, "kind": KIND, "name": NAME},
        "minReplicas": minimum,
        "maxReplicas": minimum,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }
        ],
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME},
        "spec": spec,
    }


def test_a_job_is_scaled_from_two_to_three_to_one_to_two_workers(space: Space, tmp_path: Path) -> None:
    elastic = {"minReplicas": 1, "maxReplicas": 3, "rejoinTimeoutSeconds": 20}
    submit(space, counted_job(epochs=EPOCHS, milliseconds=50, elastic=elastic))  # two minutes and a half, or more
    runs_on(space, 2, of=2)
    space.apply(autoscaler(minimum=3))
    runs_on(space, 3, of=3)
    space.kubectl("delete", "hpa", NAME)
    space.client.scale(NAME, 1)
    runs_on(space, 1, of=1)
    space.kubectl("scale", f"dltj/{NAME}", "--replicas=2")
    hurry(space, runs_on(space, 2, of=2))
    done = space.client.wait(NAME, timeout=300)
    kept = account(space, done, tmp_path)
    assert (done.status.phase, done.status.restarts.user, done.status.restarts.infrastructure) == ("Succeeded", 0, 0)
    assert kept.steps == tuple(range(1, STEPS + 1))
    assert kept.uses == {1}
    assert done.status.attempt == 4, "each size is one attempt, and none more"
    assert kept.accuracy is not None
    assert kept.accuracy > 0.8


@pytest.mark.skipif(os.environ.get("CHAOS") != "all", reason="of the long form: make e2e-chaos")
def test_a_job_survives_a_node_that_is_gone_for_good(space: Space, tmp_path: Path) -> None:
    cluster = space.live.own
    if cluster is None:
        pytest.skip("only nodes of the tests' own cluster may be killed")
    elastic = {"minReplicas": 1, "maxReplicas": 2, "rejoinTimeoutSeconds": 5}
    submit(space, counted_job(epochs=12, milliseconds=SLOWLY, elastic=elastic))
    runs_on(space, 2, of=2)
    node = space.pods(NAME)[1, 1]["spec"]["nodeName"]
    space.live.kubectl("cordon", *cluster.nodes)  # the place of the lost pod is nowhere
    cluster.node_kill(node)
    try:
        alone = runs_on(space, 1, of=2)
        assert [(entry.node, entry.count) for entry in alone.status.node_failures or ()] == [(node, 1)]
        done = space.client.wait(NAME, timeout=240)
        assert (done.status.attempt, done.status.restarts.user) == (2, 0)
    finally:
        cluster.node_start(node, gpus=1)
        space.live.kubectl("uncordon", *cluster.nodes)
    kept = account(space, done, tmp_path)
    assert kept.uses == {1}
