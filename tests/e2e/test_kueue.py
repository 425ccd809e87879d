"""Jobs wait in queues of a real Kueue, give way to what is more important, and go on from their checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dltrain.api.job import DLTrainJob
from tests.cluster.cluster import Cluster
from tests.cluster.host import wait_for
from tests.e2e.jobs import PATIENT, go, script_job
from tests.e2e.kueue import cluster_queue, flavor, kueue, local_queue, priority
from tests.e2e.live import Live, Space
from tests.e2e.training import BATCH, SAMPLES, SLOWLY, account, counted_job, hurry, steps_done, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
GPU = "nvidia.com/gpu"
EPOCHS = 12


@pytest.fixture(scope="module")
def queues(installed: Live) -> Iterator[Cluster]:
    """Kueue, and a quota that is enough for one job of two workers."""
    if installed.own is None:
        pytest.skip("Kueue is installed only on the tests' own cluster")
    with kueue(installed, installed.own):
        objects = [flavor(), cluster_queue("team", {GPU: 2}), priority("low", 10), priority("high", 1000)]
        for each in objects:
            installed.create(each)
        yield installed.own
        wait_for("the pods to go, which Kueue lets go", lambda: not managed(installed), 120)
        for each in reversed(objects):
            installed.kubectl("delete", each["kind"], each["metadata"]["name"], "--timeout=60s")


def managed(live: Live) -> str:
    """The pods that Kueue holds, in all namespaces."""
    return live.kubectl("get", "pods", "-A", "-l", "kueue.x-k8s.io/managed=true", "-o", "name")


def queued(job: dict[str, Any], queue: str, level: str) -> dict[str, Any]:
    """A job in a queue, with a GPU for each of its workers."""
    job["spec"]["workers"]["resources"] = {"limits": {GPU: 1}}
    job["spec"]["scheduling"] = {"queueName": queue, "priorityClassName": level}
    return job


def waits(job: DLTrainJob) -> bool:
    """Whether a job says that it waits in its queue."""
    running = job.status.condition("Running")
    told = f"waits in the queue {job.spec.scheduling.queue_name} to be admitted"
    return running is not None and told in running.message


@pytest.mark.usefixtures("queues")
def test_a_job_waits_for_quota_yields_to_a_more_important_one_and_goes_on(space: Space, tmp_path: Path) -> None:
    space.apply(local_queue("research", "team"), local_queue("product", "team"))
    space.apply(queued(script_job("first", PATIENT), "product", "low"))
    space.await_job("first", "runs", lambda job: job.status.phase == "Running", 120)

    document = counted_job("second", epochs=EPOCHS, milliseconds=SLOWLY).to_manifest()
    submit(space, DLTrainJob.model_validate(queued(document, "research", "low")))
    space.await_job("second", "waits", waits)
    assert not any(pod["spec"].get("nodeName") for pod in space.pods("second").values())

    go(space, "first", (0, 1), (1, 1))
    space.await_job("first", "succeeds", lambda job: job.status.phase == "Succeeded")
    space.await_job("second", "trains", lambda job: steps_done(job) > 0 and job.status.checkpoint, 120)

    space.apply(queued(script_job("urgent", PATIENT), "product", "high"))
    space.await_job("urgent", "runs", lambda job: job.status.phase == "Running", 120)
    yielded = space.await_job("second", "waits again", waits)
    assert not any(pod["spec"].get("nodeName") for pod in space.pods("second").values())
    done = steps_done(yielded)

    pods = space.pods("urgent")
    go(space, "urgent", *pods)
    space.await_job("urgent", "succeeds", lambda job: job.status.phase == "Succeeded")
    hurry(space, space.await_job("second", "trains again", lambda job: job.status.is_true("Running"), 120))
    finished = space.client.wait("second", timeout=240)
    kept = account(space, finished, tmp_path)
    assert (finished.status.attempt, finished.status.restarts.user) == (2, 0)
    assert finished.status.incarnations == (2, 2), "the queue took each pod back once"
    assert (kept.steps, kept.uses) == (tuple(range(1, EPOCHS * SAMPLES // BATCH + 1)), {1})
    first_of_second = kept.attempts.index(2) + 1
    assert first_of_second > done > 0, "it went on from what it had stored when it was told to end"
