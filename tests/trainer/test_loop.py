"""Training: the steps that plain PyTorch would take, whoever shares the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dltrain.api.job import DLTrainJob
from dltrain_trainer.checkpoint.folder import Checkpoints
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.stages.checks import batch_problems
from tests.trainer.builders import (
    blueprint_of,
    equal,
    four_epochs,
    json_lines,
    losses,
    npz,
    pipeline_job,
    saved,
    trained,
)
from tests.trainer.group import on_ranks

STEPS = 3
"""Of an epoch."""


@pytest.fixture
def job(tmp_path: Path) -> DLTrainJob:
    return four_epochs(tmp_path)


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], 0, tolerance) for name in one)


def by_hand(file: Path, rates: list[float]) -> tuple[list[float], dict[str, Tensor]]:
    """The losses and the last weights of the same training in plain PyTorch."""
    with np.load(file) as arrays:
        images, labels = arrays["x_train"].astype(np.float64) / 255, torch.from_numpy(arrays["y_train"])
    samples = torch.from_numpy(((images - images.mean()) / images.std())[:, None]).float()
    model = blueprint_of("cnn", (1, 8, 8)).build(3)
    velocity = {parameter: torch.zeros_like(parameter) for parameter in model.parameters()}
    found = []
    for step, rate in enumerate(rates):
        part = np.split(Sampler(22, 8, 3).order(step // STEPS), [8, 16])[step % STEPS]
        model.zero_grad()
        loss = cross_entropy(model(samples[part]), labels[part])
        loss.backward()
        with torch.no_grad():
            for parameter, speed in velocity.items():
                assert parameter.grad is not None
                decay = 0.01 if parameter.ndim > 1 else 0.0
                speed.mul_(0.9).add_(parameter.grad + decay * parameter)
                parameter.sub_(rate * speed)
        found.append(loss.item())
    return found, {f"model.{name}": tensor for name, tensor in model.state_dict().items()}


def test_training_takes_the_steps_that_plain_pytorch_takes(tmp_path: Path, job: DLTrainJob) -> None:
    trained(job, tmp_path)
    rates = [line["lr"] for line in json_lines(tmp_path / "metrics.jsonl")]
    expected, weights = by_hand(tmp_path / "data.npz", rates)
    found = {name: tensor for name, tensor in saved(tmp_path, 12).items() if name.startswith("model.")}
    assert losses(tmp_path) == pytest.approx(expected, rel=1e-4)
    assert close(found, weights, 1e-5)


def test_training_learns(tmp_path: Path) -> None:
    trained(pipeline_job(npz(tmp_path / "data.npz", 60), epochs=6), tmp_path)
    first, *rest = losses(tmp_path)
    assert first == pytest.approx(np.log(3), abs=0.3)
    assert np.mean(rest[-8:]) < 0.1


def test_every_step_is_on_record_once_with_its_epoch_and_rate(tmp_path: Path, job: DLTrainJob) -> None:
    trained(job, tmp_path)
    log = json_lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in log] == list(range(1, 13))
    assert [line["epoch"] for line in log] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert {line["attempt"] for line in log} == {1}
    assert [line["lr"] for line in log][:3] == pytest.approx([0.025, 0.05, 0.05])


def test_the_same_job_gives_the_same_bits(tmp_path: Path, job: DLTrainJob) -> None:
    for name in ("one", "two"):
        trained(job, tmp_path / name)
    assert equal(saved(tmp_path / "one", 12), saved(tmp_path / "two", 12))
    assert json_lines(tmp_path / "one" / "metrics.jsonl") == json_lines(tmp_path / "two" / "metrics.jsonl")


@pytest.mark.parametrize("size", [2, 3, 7])
def test_any_number_of_ranks_trains_the_same_model(tmp_path: Path, job: DLTrainJob, size: int) -> None:
    trained(job, tmp_path / "alone")
    together = tmp_path / "together"
    runs = on_ranks(size, lambda rank: trained(job, together, rank))
    assert close(saved(together, 12), saved(tmp_path / "alone", 12), 1e-5)
    assert losses(together) == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)
    models = [run.artifact.model.state_dict() for run in runs]
    assert all(equal(model, models[0]) for model in models), "every rank has the same model to the bit"


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_every_rank_ends_with_the_buffers_of_the_first(tmp_path: Path, model: str) -> None:
    job = pipeline_job(npz(tmp_path / "data.npz", side=9), model=model, epochs=1)
    runs = on_ranks(2, lambda rank: trained(job, tmp_path, rank))
    buffers = [dict(run.artifact.model.named_buffers()) for run in runs]
    assert equal(*buffers)


def test_steps_are_on_record_before_the_checkpoint_that_says_they_are_done(
    tmp_path: Path, job: DLTrainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[int] = []
    store = Checkpoints.store

    def look_and_store(self: Checkpoints, step: int, tensors: bytes) -> Path:
        recorded.append(len(json_lines(tmp_path / "metrics.jsonl")))
        return store(self, step, tensors)

    monkeypatch.setattr(Checkpoints, "store", look_and_store)
    trained(job, tmp_path)
    assert recorded == [3, 6, 9, 12]


# ---------------------------------------------------------------- batch sizes
@pytest.mark.parametrize(
    ("batch_size", "samples", "ranks", "said"),
    [
        pytest.param(3, 100, 4, "must be at least the number of ranks, 4 (got 3); raise it", id="less than ranks"),
        pytest.param(
            101, 100, 4, "must be at most the number of training samples, 100 (got 101); lower it", id="too many"
        ),
    ],
)
def test_a_batch_size_that_does_not_fit_names_its_field(batch_size: int, samples: int, ranks: int, said: str) -> None:
    assert list(batch_problems(batch_size, samples, ranks)) == [f"spec.pipeline.train.globalBatchSize: {said}"]


@pytest.mark.parametrize(("batch_size", "samples", "ranks"), [(4, 100, 4), (100, 100, 1)])
def test_a_batch_size_at_the_edge_fits(batch_size: int, samples: int, ranks: int) -> None:
    assert list(batch_problems(batch_size, samples, ranks)) == []
