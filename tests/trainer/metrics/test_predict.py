"""What a model says of a split, whoever works it out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dltrain.api.data import Task
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.evaluation import predict as module
from dltrain_trainer.evaluation.predict import predict
from dltrain_trainer.evaluation.problems import MetricError
from tests.trainer.group import ALONE, on_ranks

OUTPUTS = 3


class Scores(nn.Module):
    """A small network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, OUTPUTS))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs)


def samples(count: int) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(0))


def targets(task: Task, count: int) -> torch.Tensor:
    return torch.arange(count) % OUTPUTS if task == "classification" else torch.ones(count, OUTPUTS)


def said(task: Task, count: int, ranks: Communicator, model: nn.Module | None = None) -> module.Predictions:
    inputs = samples(count)
    return predict(
        model or Scores(),
        inputs,
        targets(task, count),
        lambda batch: batch * 2,
        task=task,
        outputs=OUTPUTS,
        ranks=ranks,
    )


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize(("count", "size"), [(1000, 2), (1000, 3), (100, 4)])
def test_ranks_together_say_what_one_says_alone_to_the_bit(task: Task, count: int, size: int) -> None:
    model = Scores()
    alone = said(task, count, ALONE, model)
    parts = on_ranks(size, lambda rank: said(task, count, rank, model))
    starts = range(0, count, module.BATCH)
    batches = [part.outputs[start : start + module.BATCH] for start in starts for part in parts]
    np.testing.assert_array_equal(np.concatenate(batches), alone.outputs)
    assert sum(map(len, parts)) == len(alone) == count


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_outputs_are_probabilities_or_values_in_double_precision(task: Task) -> None:
    model = Scores().eval()
    with torch.no_grad():
        raw = model(samples(10) * 2).double()
    expected = {"classification": raw.softmax(1), "multilabel": raw.sigmoid(), "regression": raw}[task]
    found = said(task, 10, ALONE)
    assert found.outputs.dtype == np.float64
    np.testing.assert_array_equal(found.outputs, expected.numpy())


def test_sure_answers_do_not_tie() -> None:
    model = nn.Linear(4, OUTPUTS)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([20.0, 0.0, -20.0]))
        model.weight[0, 0] = 0.1
    found = said("classification", 50, ALONE, model)
    assert len(np.unique(found.outputs[:, 0])) > 40, "in float32 they are all 1"


def test_one_column_of_targets_may_come_without_its_dimension() -> None:
    found = predict(
        nn.Linear(4, 1),
        samples(5),
        torch.ones(5),
        lambda batch: batch,
        task="regression",
        outputs=1,
        ranks=ALONE,
    )
    assert (found.outputs.shape, found.targets.shape) == ((5, 1), (5, 1))


def test_a_rank_without_samples_has_an_empty_share() -> None:
    parts = on_ranks(2, lambda rank: said("classification", 10, rank))
    assert [(part.outputs.shape, len(part.targets)) for part in parts] == [((10, 3), 10), ((0, 3), 0)]


def test_a_model_that_has_diverged_is_an_error_on_every_rank() -> None:
    model = nn.Linear(4, OUTPUTS)
    with torch.no_grad():
        model.weight.fill_(float("nan"))

    def refused(rank: Communicator) -> str:
        with pytest.raises(MetricError) as error:
            said("regression", 300, rank, model)
        return str(error.value)

    first, second = on_ranks(2, refused)
    assert first == second
    assert first.startswith("the model's outputs are not finite numbers for 300 of 300 samples")
