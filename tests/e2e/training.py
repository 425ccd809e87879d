"""A training whose every step is accounted for: the job, what it stored, and which samples it has used."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain_trainer.data.sampler import Sampler
from tests import paced
from tests.e2e.jobs import example, reader
from tests.e2e.live import Space

SAMPLES: Final = 4000
BATCH: Final = 80
EPOCHS: Final = 6
SEED: Final = 1
NAME: Final = "counted"
SLOWLY: Final = 100
"""Milliseconds that each step is to wait where a test acts upon what the status tells of the training: it tells of
progress every ten seconds, in which a fast machine does hundreds of steps. `hurry` ends the wait."""
RESUMED: Final = re.compile(r"^(?P<time>\S+Z) .*resumed from (?P<where>.*): (?P<step>\d+) steps are done", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Account:
    """What a training has done, as its storage tells."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    attempts: tuple[int, ...]
    """Of each step: the attempt that did it for good."""
    accuracy: float | None
    """Of the test split; None of a compressed model, for a processor's mood decides which that is."""
    rows: tuple[float, ...]
    """Of the compression: the accuracy of the trained model and of what each step has made of it."""

    @property
    def uses(self) -> set[int]:
        """How often any sample was used in any epoch; {1} if each was used once in each."""
        sampler = Sampler(SAMPLES, BATCH, SEED)
        used: Counter[tuple[int, int]] = Counter()
        for step in self.steps:
            epoch, place = divmod(step - 1, sampler.steps_per_epoch)
            used.update((epoch, int(index)) for index in sampler.batch(sampler.order(epoch), place))
        epochs = -(-len(self.steps) // sampler.steps_per_epoch)
        return {used[epoch, index] for epoch in range(epochs) for index in range(SAMPLES)}


def counted_job(
    name: str = NAME, *, replicas: int = 2, epochs: int = EPOCHS, milliseconds: float = 20, **spec: Any
) -> DLTrainJob:
    """A small training in fp32 with checkpoints every second, and steps that take a while on any machine."""
    job = local_job(name, replicas=replicas, epochs=epochs, **spec).to_manifest()
    job["spec"]["workers"]["template"] = paced.TEMPLATE
    job["spec"]["pipeline"]["model"] = paced.at_pace(paced.MODEL, milliseconds)
    return parse_job(job)


def local_job(name: str = NAME, *, replicas: int = 2, epochs: int = EPOCHS, **spec: Any) -> DLTrainJob:
    """The same for processes of this machine."""
    job = example("01-fashion-cnn")
    job["metadata"]["name"] = name
    job["spec"]["workers"] = {"replicas": replicas}
    pipeline = job["spec"]["pipeline"]
    pipeline["model"] = paced.LOCAL_MODEL
    pipeline["data"]["limit"] = {"train": SAMPLES, "test": 2000}
    pipeline["train"] |= {"epochs": epochs, "globalBatchSize": BATCH, "seed": SEED}
    job["spec"] |= {"checkpoint": {"everySeconds": 1}, **spec}
    return parse_job(job)


def submit(space: Space, job: DLTrainJob) -> None:
    """Submit a counted job, and its storage and its model where they are not there yet."""
    space.apply(example("01-fashion-cnn", "storage.yaml"), paced.config_map())
    space.client.submit(job)


def hurry(space: Space, job: DLTrainJob) -> None:
    """Let a counted job that has shown what it was to show end soon."""
    for name in [pod["metadata"]["name"] for pod in space.pods(job.name).values()]:
        space.kubectl("exec", name, "--", "touch", str(paced.HURRY))


def steps_done(job: DLTrainJob) -> int:
    """The optimizer steps that a job's status tells of."""
    progress = job.status.progress
    return (progress.step or 0) if progress is not None and progress.stage == "train" else 0


def account(space: Space, job: DLTrainJob, into: Path) -> Account:
    """What a finished job has stored."""
    with reader(space) as claim:
        return read_account(claim.copy(f"{job.name}-{job.metadata.uid[:8]}", into))


def read_account(stored: Path) -> Account:
    """What the folder of a finished job holds."""
    lines = [json.loads(line) for line in (stored / "metrics.jsonl").read_text().splitlines()]
    results = json.loads((stored / "results.json").read_text())
    rows = tuple(row["metrics"]["accuracy"] for row in results["compression"])
    return Account(
        tuple(line["step"] for line in lines),
        tuple(line["loss"] for line in lines),
        tuple(line["attempt"] for line in lines),
        None if rows else results["metrics"]["accuracy"],
        rows,
    )


def resumed(space: Space, name: str, after: datetime) -> tuple[datetime, int] | None:
    """When training went on for the first time after a moment, and from which step; None if it has not."""
    found = []
    for pod in (pod for (index, _), pod in space.pods(name).items() if index == 0):
        log = space.kubectl("logs", "--timestamps", pod["metadata"]["name"], check=False)
        found += [(datetime.fromisoformat(match["time"]), int(match["step"])) for match in RESUMED.finditer(log)]
    return min((one for one in found if one[0] >= after), default=None)
