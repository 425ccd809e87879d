"""Short ways to make the values that the trainer's tests talk about."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from dltrain import names
from dltrain.api.job import DLTrainJob
from dltrain.api.model import Model
from dltrain.api.parse import parse_job
from dltrain.api.train import Train
from dltrain.reporting import Reporter
from dltrain_trainer.data.samples import Split
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.models import Blueprint
from dltrain_trainer.progress import Progress
from dltrain_trainer.run import Run
from dltrain_trainer.stages import data as data_stage
from dltrain_trainer.stages import train
from dltrain_trainer.training.learner import make_learner
from dltrain_trainer.training.losses import make_loss
from dltrain_trainer.training.state import TrainingState

CPU = torch.device("cpu")
SILENT = Reporter(None, 0)
"""A reporter without an agent."""


def train_settings(**fields: Any) -> Train:
    """The training settings of a job, by their names in YAML."""
    return Train.model_validate(fields)


def arrays(samples: int, *, side: int = 8, classes: int = 3, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Noisy images with a bright bar whose place is the class, and their labels; every class occurs."""
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    images = generator.integers(0, 120, (samples, side, side), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label * side // classes] = 255
    return images, labels


def split(samples: int, **kind: Any) -> Split:
    """A split of such images."""
    images, labels = arrays(samples, **kind)
    return Split(torch.from_numpy(images[:, None]), torch.from_numpy(labels))


def npz(file: Path, samples: int = 22, **kind: Any) -> Path:
    """A data set of such images in a file."""
    x_train, y_train = arrays(samples, **kind)
    x_test, y_test = arrays(9, **{**kind, "seed": 1})
    np.savez(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return file


def pipeline_job(
    file: Path,
    *,
    model: str | dict[str, Any] = "cnn",
    keep: int = 100,
    every: int = 0,
    data: dict[str, Any] | None = None,
    export: dict[str, Any] | None = None,
    compress: dict[str, Any] | None = None,
    **fields: Any,
) -> DLTrainJob:
    """A job that trains on an .npz file with two ranks.

    Args:
        file: the data.
        model: its name, or spec.pipeline.model.
        keep: how many checkpoints are kept.
        every: seconds between checkpoints; 0 for one after every epoch.
        data: what is added to spec.pipeline.data.
        export: spec.pipeline.export.
        compress: spec.pipeline.compress.
        fields: what is added to spec.pipeline.train.
    """
    return parse_job(
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": "tiny"},
            "spec": {
                "workers": {"replicas": 2},
                "pipeline": {
                    "data": {
                        "source": f"file://{file}",
                        "format": "npz",
                        "transforms": [{"normalize": {}}],
                        **(data or {}),
                    },
                    "model": {"name": model} if isinstance(model, str) else model,
                    "train": {"globalBatchSize": 8, "optimizer": {"lr": 0.05}, **fields},
                    "export": export or {},
                    **({"compress": compress} if compress else {}),
                },
                "checkpoint": {"everySeconds": every, "keep": keep},
                "runPolicy": {"backoffLimit": 0},
            },
        }
    )


def new_run(
    job: DLTrainJob,
    output: Path,
    communicator: Communicator | None = None,
    attempt: int = 1,
    memory: Path | None = None,
) -> Run:
    """One rank's run of a pipeline job, before its first stage."""
    assert job.spec.pipeline is not None
    alone = communicator or SingleCommunicator()
    output.mkdir(parents=True, exist_ok=True)
    progress = Progress(SILENT, alone.rank)
    run = Run(job.name, job.spec.pipeline, job.spec.checkpoint, output, attempt, alone, CPU, progress)
    run.snapshots = memory
    return run


def trained(
    job: DLTrainJob,
    output: Path,
    communicator: Communicator | None = None,
    attempt: int = 1,
    memory: Path | None = None,
) -> Run:
    """The same after its stages data and train."""
    run = new_run(job, output, communicator, attempt, memory)
    data_stage.run(run)
    train.run(run)
    return run


def state_of(model: nn.Module, step: int = 0, **settings: Any) -> TrainingState:
    """The state of a training of a model; `settings` are those of spec.pipeline.train."""
    train = train_settings(**settings)
    return TrainingState(make_learner(model, train, make_loss(train), SingleCommunicator(), "fp32"), None, step)


def blueprint_of(name: str, shape: tuple[int, ...] = (1, 9, 9), outputs: int = 3, **options: Any) -> Blueprint:
    """A model of the zoo by its name, for samples of a shape; `options` are those of spec.pipeline.model."""
    return Blueprint(Model.model_validate({"name": name, **options}), shape, outputs)


def json_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def without_attempt(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics log, but for which attempt wrote them."""
    return [{name: value for name, value in line.items() if name != "attempt"} for line in json_lines(file)]


def four_epochs(folder: Path) -> DLTrainJob:
    """A job of four epochs of three steps each: 22 samples in batches of 8, so the last has 6."""
    schedule, decay = {"name": "cosine", "warmupEpochs": 0.5}, {"weightDecay": 0.01}
    return pipeline_job(npz(folder / "data.npz"), epochs=4, seed=3, schedule=schedule, regularization=decay)


def saved(output: Path, step: int) -> dict[str, Tensor]:
    """The tensors of a checkpoint."""
    return load_file(output / "checkpoints" / f"step-{step:08}" / "state.safetensors")


def losses(output: Path) -> list[float]:
    """The loss of every step."""
    return [line["loss"] for line in json_lines(output / "metrics.jsonl")]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    """A storage that takes no more than some bytes a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
