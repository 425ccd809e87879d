"""A job whose data, checkpoints and artefacts are on a server of S3's protocol, killed in the middle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.names import API_VERSION, KIND
from tests import paced
from tests.buckets import BUCKET, VARIABLES, BucketServer, bucket_server
from tests.cluster.network import SUBNET
from tests.e2e.live import Live, Space
from tests.e2e.training import hurry, steps_done
from tests.trainer.builders import npz

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HERE: Final = f"{SUBNET}.254"
"""This machine, as pods of the tests' own cluster reach it."""
SECRET: Final = "bucket-keys"
SAMPLES, BATCH, EPOCHS = 1920, 16, 16
STEPS: Final = EPOCHS * SAMPLES // BATCH
"""Enough that the training still goes on when all has happened to it, for steps take a while until it is hurried."""


@pytest.fixture(scope="module")
def server(installed: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    """A server that pods reach, with the data."""
    if HERE not in subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("pods of another cluster cannot reach this machine")
    with bucket_server(HERE) as running:
        running.reset()
        client = running.client
        client.upload_file(str(npz(tmp_path_factory.mktemp("data") / "data.npz", SAMPLES)), BUCKET, "data/data.npz")
        client.close()
        yield running


def bucket_job(name: str, server: BucketServer) -> dict[str, Any]:
    """Two workers that train for a while, a checkpoint every second."""
    spec = {
        "workers": {"replicas": 2, "resources": {"limits": {"cpu": 1}}, "template": paced.TEMPLATE},
        "pipeline": {
            "data": {"source": f"s3://{BUCKET}/data/data.npz", "format": "npz", "transforms": [{"normalize": {}}]},
            "model": paced.MODEL,
            "train": {"epochs": EPOCHS, "globalBatchSize": BATCH, "optimizer": {"lr": 0.01, "momentum": 0.9}},
        },
        "checkpoint": {"everySeconds": 1},
        "storage": {"uri": f"s3://{BUCKET}/team", "s3": {"endpoint": server.address, "secretName": SECRET}},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def secret() -> dict[str, Any]:
    keys = {name: value for name, value in VARIABLES.items() if "KEY" in name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": keys}


def stored(space: Space, job: DLTrainJob, into: Path) -> Path:
    """A copy of what a job has stored."""
    space.client.download(job.name, into)
    return into


def losses(folder: Path) -> list[tuple[int, float]]:
    """Each step's loss, as recorded."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"]) for line in lines]


def test_a_job_on_a_bucket_that_loses_all_its_pods_and_its_bucket_for_a_while_gives_the_same_bits(
    space: Space, server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    space.apply(secret(), paced.config_map(), bucket_job("whole", server))
    hurry(space, space.await_job("whole", "trains", steps_done, 120))
    whole = space.client.wait("whole", timeout=180)
    space.apply(bucket_job("killed", server))
    running = space.await_job("killed", "has sent a checkpoint", lambda job: job.status.checkpoint, 120)
    assert running.status.checkpoint is not None
    assert running.status.checkpoint.uri.startswith(f"s3://{BUCKET}/team/killed-")
    pods = [pod["metadata"]["name"] for pod in space.pods("killed").values()]
    server.fault = lambda _method, _path: "busy"  # it trains on, for nothing else is known to be kept
    away_since = running.status.checkpoint.step
    away = space.await_job(
        "killed",
        "trains on while the bucket is away",
        lambda job: steps_done(job) > away_since + 100,
        120,
    )
    assert away.status.checkpoint is not None
    before = away.status.checkpoint.step  # one that was on its way when the bucket went may have come
    space.kubectl("delete", "pod", *pods, "--grace-period=0", "--force")
    server.fault = lambda _method, _path: "slow"  # from which the next pods bring back what there is
    on = space.await_job(
        "killed",
        "goes on, and sends a checkpoint",
        lambda job: (
            job.status.restarts.infrastructure
            and job.status.is_true("Running")
            and job.status.checkpoint
            and job.status.checkpoint.step > before
        ),
        180,
    )
    server.fault = lambda _method, _path: None
    hurry(space, on)
    finished = space.client.wait("killed", timeout=240)
    status = finished.status
    assert (status.phase, status.restarts.user) == ("Succeeded", 0)
    assert status.restarts.infrastructure in {1, 2}, "the pods may be lost at one look or at two"
    assert status.results is not None
    assert status.results.artifacts is not None
    assert status.results.artifacts.startswith(f"s3://{BUCKET}/team/killed-")
    assert whole.status.results is not None
    assert status.results.metrics == whole.status.results.metrics
    one, other = stored(space, whole, tmp_path / "one"), stored(space, finished, tmp_path / "other")
    assert losses(one) == losses(other)
    assert [step for step, _ in losses(other)] == list(range(1, STEPS + 1))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    last = f"checkpoints/step-{STEPS:08}/state.safetensors"
    assert (one / last).read_bytes() == (other / last).read_bytes()
    assert len(list((other / "checkpoints").iterdir())) == 3
    assert "logs/attempt-1/rank-1.log" in [each.name for each in space.client.artefacts("whole")]
