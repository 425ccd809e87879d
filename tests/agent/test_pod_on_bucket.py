"""An agent as it runs in a pod, its job's data, checkpoints and artefacts on a server of S3's protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from dltrain.api.channel import GroupStatus
from dltrain.api.parse import parse_job
from dltrain.api.storage import S3
from dltrain.bucket.folder import BucketFolder
from dltrain.names import API_VERSION, KIND
from tests import paced
from tests.agent.identity import make_authority, make_leaf
from tests.buckets import BUCKET, VARIABLES, BucketServer, bucket_server
from tests.trainer.builders import npz

FOLDER: Final = "team/tiny-01234567"
STEPS: Final = 240
PATIENCE: Final = 120
AGENT: Final = """
import asyncio, json, sys
from pathlib import Path
from dltrain import names
told = json.loads(sys.argv[1])
home = Path(told["home"])
names.CONTROL_PORT, names.STORAGE_DIR = 0, str(home / "storage")
from dltrain.api.parse import parse_job_file
from dltrain_agent.__main__ import run
from dltrain_agent.settings import Settings
job = Path(told["job"])
settings = Settings(
    job=parse_job_file(job), job_file=job, incarnation=told["incarnation"], past_attempts=told["attempts"],
    pod=f"tiny-0-{told['incarnation']}", node="here", output=home / "storage" / "tiny-01234567", workspace=home,
    identity=Path(told["identity"]), termination_log=home / "log", sockets=home / "sockets",
)
sys.exit(asyncio.run(run(settings)))
"""
ALONE: Final = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
"""What a pod's processes have of their own: a host name, and one process whose end is the end of all."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a host name of its own")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    """A server with the data."""
    with bucket_server() as running:
        settings = {**VARIABLES, "AWS_ENDPOINT_URL": running.address, "DLTRAIN_CACHE": str(tmp_path / "cache")}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        running.reset()
        client = running.client
        client.upload_file(str(npz(tmp_path / "data.npz", 160)), BUCKET, "data.npz")
        client.close()
        yield running


def job_file(folder: Path, server: BucketServer, milliseconds: float = 20, **s3: Any) -> Path:
    """A job of one worker with two ranks, a checkpoint every second; each step waits so long."""
    spec = {
        "workers": {"slotsPerWorker": 2},
        "pipeline": {
            "data": {"source": f"s3://{BUCKET}/data.npz", "format": "npz", "transforms": [{"normalize": {}}]},
            "model": paced.at_pace(paced.MODEL, milliseconds),
            "train": {"epochs": STEPS // 20, "globalBatchSize": 8, "optimizer": {"lr": 0.002, "momentum": 0.9}},
        },
        "checkpoint": {"everySeconds": 1, "keep": 2},
        "storage": {"uri": f"s3://{BUCKET}/team", "s3": {"endpoint": server.address, "partSizeMiB": 5, **s3}},
    }
    metadata = {"name": "tiny", "namespace": "ml", "uid": "0123456789"}
    job = parse_job({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
    file = folder / "job.json"
    file.write_text(job.model_dump_json(by_alias=True, exclude_none=True, exclude={"status"}))
    return file


@contextmanager
def pod(home: Path, job: Path, incarnation: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """An agent in a pod's place; with it ends everything that it has started."""
    (home / "storage").mkdir(parents=True)
    (home / "paced.py").write_text(paced.source())
    make_authority(home / "authority")
    told: Mapping[str, Any] = {
        "home": str(home),
        "job": str(job),
        "identity": str(make_leaf(home / "authority", "worker", home / "identity")),
        "incarnation": incarnation,
        "attempts": incarnation - 1,
    }
    script = 'hostname tiny-0 && exec "$@"'
    command = [*ALONE, script, "sh", sys.executable, "-c", AGENT, json.dumps(told)]
    with (home / "output").open("w") as output, tempfile.TemporaryDirectory(prefix="pod-") as tmp:
        environment = {**os.environ, "TMPDIR": tmp}  # where Open MPI's sockets are, whose paths must be short
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def until(true: Callable[[], object], process: subprocess.Popen[bytes], home: Path) -> None:
    """Wait for something while an agent runs, not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None, (home / "output").read_text()[-3000:]
        assert time.monotonic() < deadline, (home / "output").read_text()[-3000:]
        time.sleep(0.1)


def ended(process: subprocess.Popen[bytes], home: Path) -> tuple[int, GroupStatus]:
    """How an agent ends, and what it says of it."""
    code = process.wait(PATIENCE)
    log = home / "log"
    assert log.exists(), (home / "output").read_text()[-3000:]
    return code, GroupStatus.model_validate_json(log.read_text())


def checkpoints(server: BucketServer) -> list[int]:
    """The steps of the whole checkpoints in the bucket."""
    names = [key for key in server.sizes(f"{FOLDER}/checkpoints") if key.endswith("manifest.json")]
    return sorted(int(name.split("/")[-2].removeprefix("step-")) for name in names)


def stored(server: BucketServer, folder: Path) -> dict[str, bytes]:
    """What matters of a job's folder in the bucket: losses by step, weights, the last checkpoint."""
    bucket = BucketFolder(f"s3://{BUCKET}/{FOLDER}", S3(endpoint=server.address))
    last = f"checkpoints/step-{STEPS:08}/state.safetensors"
    for name in ("metrics.jsonl", "model.safetensors", last):
        bucket.get(name, folder / name)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = json.dumps([(line["step"], line["loss"]) for line in lines]).encode()
    return {"losses": losses, **{name: (folder / name).read_bytes() for name in ("model.safetensors", last)}}


def test_a_pod_that_is_killed_is_gone_on_from_by_another_to_the_same_bits(server: BucketServer, tmp_path: Path) -> None:
    job = job_file(tmp_path, server)
    with pod(tmp_path / "whole", job) as process:
        code, status = ended(process, tmp_path / "whole")
    assert (code, status.state) == (0, "succeeded")
    assert status.results is not None
    assert status.results.artifacts == f"s3://{BUCKET}/{FOLDER}"
    assert status.checkpoint is not None
    assert status.checkpoint.uri == f"s3://{BUCKET}/{FOLDER}/checkpoints/step-{STEPS:08}"
    assert f"{FOLDER}/logs/attempt-1/rank-1.log" in server.sizes()
    wanted = stored(server, tmp_path / "one")
    client = server.client
    for key in server.sizes(FOLDER):
        client.delete_object(Bucket=BUCKET, Key=key)
    client.close()

    with pod(tmp_path / "lost", job) as process:
        until(lambda: any(0 < step < STEPS for step in checkpoints(server)), process, tmp_path / "lost")
    with pod(tmp_path / "new", job, incarnation=2) as process:
        code, status = ended(process, tmp_path / "new")
    assert (code, status.state, status.attempt) == (0, "succeeded", 2)
    assert "resumed from a checkpoint" in (tmp_path / "new" / "output").read_text()
    assert stored(server, tmp_path / "two") == wanted
    assert len(checkpoints(server)) == 2


def test_a_pod_that_is_told_to_end_sends_its_last_checkpoint_first(server: BucketServer, tmp_path: Path) -> None:
    job = job_file(tmp_path, server, milliseconds=100)  # it must not end before it is told to
    with pod(tmp_path / "told", job) as process:
        until(lambda: checkpoints(server), process, tmp_path / "told")
        [agent] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(agent), signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
    here = tmp_path / "told" / "storage" / "tiny-01234567" / "checkpoints"
    assert checkpoints(server)[-1] == max(int(each.name.removeprefix("step-")) for each in here.glob("step-*"))


def test_a_bucket_that_is_away_at_the_end_fails_the_job_and_not_the_training(
    server: BucketServer, tmp_path: Path
) -> None:
    job = job_file(tmp_path, server, milliseconds=50, finishSeconds=2)  # nor before the bucket is away
    with pod(tmp_path / "pod", job) as process:
        until(lambda: checkpoints(server), process, tmp_path / "pod")
        server.fault = lambda _method, _path: "busy"
        code, status = ended(process, tmp_path / "pod")
    assert (code, status.state, status.attempt) == (64, "failed", 1)
    assert status.failure is not None
    assert status.failure.reason == "StorageError"
    assert status.failure.message.startswith(f"s3://{BUCKET}/{FOLDER}: not everything could be sent within 2 s")
    assert status.progress is not None
    assert (status.progress.stage, status.progress.percent) == ("export", 100)
