"""The training benchmark: the same networks and settings for both sides, and which epochs count."""

from __future__ import annotations

import pytest
import torch

from dltrain.api.parse import parse_document
from dltrain_trainer.models import Blueprint
from tests.bench.peers.ddp_training import MODELS
from tests.bench.trainer import CNN, NARROW_RESNET, RESNET, Task, job_of, steady

TASKS = (CNN, RESNET, NARROW_RESNET)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_peer_with_our_weights_gives_our_outputs(task: Task) -> None:
    spec = parse_document(job_of(task, 1, "fp32", 3)).spec
    assert spec.pipeline is not None
    ours, theirs = Blueprint(spec.pipeline.model, (1, 28, 28), 10).build(0).eval(), MODELS[task.name]().eval()
    own, other = list(ours.state_dict().values()), theirs.state_dict()
    assert [value.shape for value in own] == [value.shape for value in other.values()]
    theirs.load_state_dict(dict(zip(other, own, strict=True)))
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(theirs(images), ours(images))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_job_is_what_the_peer_is_told(task: Task, ranks: int) -> None:
    spec = parse_document(job_of(task, ranks, "fp32", 3)).spec
    assert spec.pipeline is not None
    train = spec.pipeline.train
    optimizer = train.optimizer
    assert (optimizer.name, train.peak_rate, optimizer.momentum_factor) == ("sgd", task.rate, 0.9)
    assert (train.global_batch_size, train.epochs, train.precision, train.seed) == (task.batch, task.epochs, "fp32", 3)
    assert (spec.workers.replicas, spec.pipeline.data.limit.train) == (ranks, task.samples)


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        pytest.param([1.0, 5.0], 5.0, id="two epochs: the last"),
        pytest.param([1.0, 5.0, 9.0], 5.0, id="three: the middle"),
        pytest.param([1.0, 4.0, 7.0, 6.0, 9.0], 6.0, id="more: the median of those in the middle"),
    ],
)
def test_the_epochs_in_which_training_starts_or_ends_do_not_count(rates: list[float], found: float) -> None:
    assert steady(rates) == found
