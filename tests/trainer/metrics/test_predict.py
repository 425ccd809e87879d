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
NAN, INF = float("nan"), float("inf")


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
    batches = [part.logits[start : start + module.BATCH] for start in starts for part in parts]
    np.testing.assert_array_equal(np.concatenate(batches), alone.logits)
    assert sum(map(len, parts)) == len(alone) == count


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_outputs_are_probabilities_or_values_in_double_precision(task: Task) -> None:
    model = Scores().eval()
    with torch.no_grad():
        raw = model(samples(10) * 2).double()
    expected = {"classification": raw.softmax(1), "multilabel": raw.sigmoid(), "regression": raw}[task]
    found = said(task, 10, ALONE)
    assert {found.outputs.dtype, found.logits.dtype} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(found.outputs, expected.numpy())
    np.testing.assert_array_equal(found.logits, raw.numpy())


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


class Said(nn.Module):
    """Says the same of every sample."""

    def __init__(self, row: list[float]) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.tensor(row))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.row.expand(len(inputs), -1)


@pytest.mark.parametrize(
    ("task", "row", "finite"),
    [
        pytest.param("classification", [0.0, NAN, 0.0], False, id="a class without a number"),
        pytest.param("classification", [0.0, INF, 0.0], False, id="an infinite class"),
        pytest.param("classification", [-INF, -INF, -INF], False, id="no possible class"),
        pytest.param("classification", [0.0, -INF, 0.0], True, id="an impossible class"),
        pytest.param("multilabel", [0.0, NAN, 0.0], False, id="a label without a number"),
        pytest.param("multilabel", [0.0, -INF, INF], True, id="an impossible and a certain label"),
        pytest.param("regression", [0.0, NAN, 0.0], False, id="not a number"),
        pytest.param("regression", [0.0, -INF, 0.0], False, id="an infinite number"),
    ],
)
def test_a_model_has_diverged_where_probabilities_or_values_are_not_finite(
    task: Task, row: list[float], finite: bool
) -> None:
    try:
        found = said(task, 5, ALONE, Said(row)).logits.tolist()
    except MetricError as error:
        found = str(error).partition(":")[0]
    assert found == ([row] * 5 if finite else "the model's outputs are not finite numbers for 5 of 5 samples")


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
