"""The first example as anybody runs it: how soon it trains, and what the operator writes for all of its life."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dltrain.connection import Connection
from dltrain.names import output_folder
from tests.bench.contender import DLTRAIN
from tests.bench.timeline import Timeline
from tests.cluster.cluster import Cluster
from tests.cluster.host import wait_for
from tests.e2e.jobs import example
from tests.e2e.live import EXAMPLES, Space

FOLDER: Final = "01-fashion-cnn"
SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class Training:
    """The life of the example; moments in seconds since the epoch, spans in seconds."""

    workers: int
    epochs: int
    begun: float
    gone: float
    pods_made: float
    """From its creation to that of its last worker pod."""
    first_step: float
    """To its first optimizer step, on record in its metrics."""
    complete: float


def train(connection: Connection, space: Space, cluster: Cluster) -> Training:
    """Run the example to its end and delete it."""
    space.kubectl("apply", "-f", EXAMPLES / FOLDER / "storage.yaml")
    manifest = example(FOLDER)
    name, workers = manifest["metadata"]["name"], manifest["spec"]["workers"]["replicas"]
    jobs = DLTRAIN.jobs_path(space.name)
    timeline = Timeline(connection, (jobs, f"/api/v1/namespaces/{space.name}/pods"))
    begun = time.time()
    made = connection.request("POST", jobs, body=manifest)
    first_step = await_first_step(cluster, output_folder(name, made["metadata"]["uid"]))
    done = timeline.first(f"{name} to end", lambda seen: seen.has_condition("Complete", "Failed"), SECONDS)
    assert done.has_condition("Complete"), done.body["status"]
    space.client.delete(name, wait=True, timeout=SECONDS)
    pods = [seen.at for seen in timeline.sightings if (seen.kind, seen.change) == ("Pod", "ADDED")]
    assert len(pods) == workers, f"{len(pods)} pods were made for {workers} workers"
    epochs = manifest["spec"]["pipeline"]["train"]["epochs"]
    return Training(workers, epochs, begun, time.time(), max(pods) - begun, first_step - begun, done.at - begun)


def await_first_step(cluster: Cluster, folder: str) -> float:
    """When the first line was in the metrics of a job that stores into this folder of a shared volume."""

    def on_record() -> bool:
        return any(b"\n" in text for text in metrics_of(cluster.run / "shared", folder))

    wait_for("the first optimizer step", on_record, SECONDS, pause=0.01)
    return time.time()


def metrics_of(volumes: Path, folder: str) -> Iterator[bytes]:
    """The metrics of a job, on whichever volume it has."""
    for file in volumes.glob(f"*/{folder}/metrics.jsonl"):
        with suppress(FileNotFoundError):  # it is written under another name first
            yield file.read_bytes()
