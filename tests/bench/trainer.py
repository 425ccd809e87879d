"""Training beside torchrun + DDP + torchvision; how two ranks scale; how long training waits for data."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

from dltrain import names
from dltrain_trainer.data.named.mnist import FASHION_MNIST, FILES
from dltrain_trainer.training.precision import CPU_FACTS, NATIVE_FLAGS, cpu_flags
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure, Target, paired, single
from tests.bench.pairs import PAIRS, alternating

PEER: Final = Path(__file__).with_name("peers") / "ddp_training.py"
LIKE_FOR_LIKE, WITH_BF16, SCALING, WAITING, CLOSE = 1.2, 2.2, 0.97, 0.01, 0.003
SCALING_EPOCHS: Final = 6
SEEDS: Final = (1, 2, 3)
RUN_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class Task:
    """One training, the same for both sides."""

    model: str
    samples: int
    batch: int
    rate: float
    scaled: int = 0
    """Samples where one rank is compared with two."""
    epochs: int = 2
    """The throughput of those in the middle counts, or of the last of two: the first has what starting costs."""
    width: int = 64
    """Channels of the first layers of a ResNet."""

    @property
    def name(self) -> str:
        """What the peer and the figures call its model."""
        return self.model if self.width == 64 else f"narrow-{self.model}"


CNN: Final = Task("cnn", samples=20_480, batch=128, rate=0.05, scaled=20_480)
RESNET: Final = Task("resnet18", samples=512, batch=64, rate=0.02, scaled=256)
WHOLE_CNN: Final = Task("cnn", samples=60_000, batch=128, rate=0.05)
NARROW_RESNET: Final = Task("resnet18", samples=60_000, batch=128, rate=0.05, width=16)
"""All the data, for accuracy; of the whole ResNet it would take a day."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training has left."""

    rate: float
    """Samples a second of all ranks, in the epochs that count."""
    accuracy: float
    waiting: float = 0.0
    """The share of the last epoch's time that rank 0 waited for data."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are."""

    peer_data: Path
    """As torchvision wants it."""
    outputs: Path
    numbers: Iterator[int]


def prepare() -> Places:
    """Fashion-MNIST for both sides."""
    folder = Path(tempfile.mkdtemp(prefix="dltrain-bench-"))
    raw, packed = folder / "data" / "FashionMNIST" / "raw", FASHION_MNIST.locate()
    raw.mkdir(parents=True)
    for name in FILES:
        source = packed / name
        raw.joinpath(name).write_bytes(
            source.read_bytes() if source.exists() else gzip.decompress(packed.joinpath(f"{name}.gz").read_bytes())
        )
    return Places(folder / "data", folder / "outputs", itertools.count())


def run(places: Places) -> Iterator[Figure]:
    """Measure, and leave nothing."""
    try:
        for task in (CNN, RESNET):
            for precision, target in precisions().items():
                yield beside_ddp(places, task, precision, target)
        for task in (WHOLE_CNN, NARROW_RESNET):
            yield from accuracies(places, task)
        for task in (CNN, RESNET):
            yield from scaling(places, task)
    finally:
        shutil.rmtree(places.peer_data.parent, ignore_errors=True)


def beside_ddp(places: Places, task: Task, precision: str, target: float) -> Figure:
    """Throughput of two ranks."""
    pairs = alternating(
        f"{task.model}, {precision}",
        lambda: ours(places, task, precision=precision).rate,
        lambda: theirs(places, task).rate,
        warm_up=False,
    )
    note = f"2 ranks with one thread each, batches of {task.batch}; peer: torchrun, DDP (gloo), torchvision, fp32"
    name = f"trainer/{task.model}-{precision}"
    return paired(name, "samples/s", pairs.ours, pairs.peers, target=Target(target, ">=", of="ratio"), note=note)


def precisions() -> dict[str, float]:
    """What is compared with the peer's fp32, and how many times as fast it is to be."""
    native = NATIVE_FLAGS & cpu_flags(CPU_FACTS.read_text())
    return {"fp32": LIKE_FOR_LIKE, **({"auto": WITH_BF16} if native else {})}


def accuracies(places: Places, task: Task) -> Iterator[Figure]:
    """Whether the speed costs accuracy: the same training on all the data, of three seeds each."""
    other = mean(theirs(places, task, seed=seed).accuracy for seed in SEEDS)
    for precision in precisions():
        own = mean(ours(places, task, precision=precision, seed=seed).accuracy for seed in SEEDS)
        note = f"share of right answers, peer's fp32 minus ours: {other:.4f} - {own:.4f}, mean of 3 seeds, 2 epochs"
        yield single(f"trainer/{task.name}-{precision}-accuracy-lost", "", other - own, target=Target(CLOSE), note=note)


def scaling(places: Places, task: Task) -> Iterator[Figure]:
    """Two ranks beside two trainings of one rank at the same time: the machine is as busy with both.

    A rank has the same batch in both. Two trainings never begin or end at the same moment; in the middle both train.
    """
    waits: list[float] = []
    task = replace(task, samples=task.scaled, epochs=SCALING_EPOCHS)
    half = replace(task, samples=task.samples // 2, batch=task.batch // 2)

    def together() -> float:
        found = ours(places, task)
        waits.append(found.waiting)
        return found.rate

    def apart() -> float:
        with ThreadPoolExecutor(2) as pool:
            return sum(found.rate for found in pool.map(lambda _: ours(places, half, ranks=1), range(2)))

    pairs = alternating(f"scaling of {task.model}", together, apart, warm_up=False)
    note = f"{task.batch // 2} samples a rank and step; peer: the sum of two trainings of one rank at the same time"
    target = Target(SCALING, ">=", of="ratio")
    name = f"trainer/{task.model}-two-ranks-scaling"
    yield paired(name, "samples/s", pairs.ours, pairs.peers, target=target, note=note)
    note = f"the largest of {PAIRS} runs"
    yield single(f"trainer/{task.model}-waiting-for-data", "", max(waits), target=Target(WAITING), note=note)


# ---------------------------------------------------------------- both sides
def ours(places: Places, task: Task, *, ranks: int = 2, precision: str = "fp32", seed: int = 1) -> Trained:
    """Train with `dltrain run`.

    Raises:
        BenchFailure: it failed.
    """
    output = places.outputs / str(next(places.numbers))
    output.mkdir(parents=True)
    job = output / "job.json"
    job.write_text(json.dumps(job_of(task, ranks, precision, seed)))
    call([sys.executable, "-m", "dltrain", "run", str(job), "--quiet", "--output-dir", str(output / "run")])
    epochs = [json.loads(line) for line in (output / "run" / "epochs.jsonl").read_text().splitlines()]
    results = json.loads((output / "run" / "results.json").read_text())
    seconds = epochs[-1]["seconds"]
    waiting = seconds["data"] / sum(seconds.values())
    return Trained(steady([epoch["samplesPerSecond"] for epoch in epochs]), results["metrics"]["accuracy"], waiting)


def steady(rates: Sequence[float]) -> float:
    """The throughput of a training by that of its epochs: without the first, and without the last of more than two."""
    return median(rates[1:-1] if len(rates) > 2 else rates[-1:])


def job_of(task: Task, ranks: int, precision: str, seed: int) -> dict[str, Any]:
    """The job."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "bench"},
        "spec": {
            "workers": {"replicas": ranks},
            "pipeline": {
                "data": {
                    "source": "fashion-mnist",
                    "transforms": [{"normalize": {}}],
                    "limit": {"train": task.samples, **({"test": 64} if task.name == "resnet18" else {})},
                },
                "model": {"name": task.model, **({"resnet": {"width": task.width}} if task.model != "cnn" else {})},
                "train": {
                    "epochs": task.epochs,
                    "globalBatchSize": task.batch,
                    "optimizer": {"lr": task.rate},
                    "schedule": {"name": "cosine"},
                    "precision": precision,
                    "seed": seed,
                },
            },
        },
    }


def theirs(places: Places, task: Task, *, seed: int = 1) -> Trained:
    """Train with torchrun.

    Raises:
        BenchFailure: it failed.
    """
    arguments = [task.name, task.samples, task.batch, task.epochs, task.rate, seed]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(PEER)]
    told = call([*launcher, str(places.peer_data), *map(str, arguments)])
    found = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    return Trained(steady(found["rates"]), found["accuracy"] or 0.0)


def call(command: Sequence[str]) -> str:
    """Run a command; what it says.

    Raises:
        BenchFailure: it failed, or took too long.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        raise BenchFailure(f"{command[2]} was not done after {RUN_SECONDS} s") from late
    if done.returncode:
        raise BenchFailure(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout
