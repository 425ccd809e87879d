"""Accuracy, over any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dltrain_trainer.data.dataset import Split
from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.evaluation import accuracy
from dltrain_trainer.evaluation.accuracy import BATCH
from dltrain_trainer.models import MODELS, Architecture, build_model
from tests.trainer.builders import split
from tests.trainer.group import on_ranks

IDENTITY = Preprocessing((1.0,), (0.0,))


def pass_on() -> nn.Module:
    """A model whose logits are the four pixels that it gets."""
    linear = nn.Linear(4, 4, bias=False)
    nn.init.eye_(linear.weight)
    return nn.Sequential(nn.Flatten(), linear)


def answers(right: int, wrong: int) -> Split:
    """Samples whose brightest pixel is, or is not, the one of their label."""
    labels = torch.arange(right + wrong) % 4
    brightest = torch.where(torch.arange(right + wrong) < right, labels, (labels + 1) % 4)
    return Split(nn.functional.one_hot(brightest, 4).byte().view(-1, 1, 2, 2), labels)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param(1, 0, id="one sample"),
        pytest.param(0, 3, id="none right"),
        pytest.param(BATCH, 1, id="a batch and one"),
        pytest.param(2 * BATCH + 7, BATCH, id="several batches"),
    ],
)
def test_accuracy_is_the_share_of_right_answers_for_any_number_of_ranks(right: int, wrong: int, size: int) -> None:
    model, data = pass_on(), answers(right, wrong)
    found = on_ranks(size, lambda rank: accuracy(model, data, IDENTITY, rank))
    assert found == [right / (right + wrong)] * size


@pytest.mark.parametrize("name", sorted(MODELS))
def test_accuracy_is_what_numpy_makes_of_the_logits(name: str) -> None:
    data, preprocessing = split(40, side=9), Preprocessing((1 / 255,), (0.4,))
    model = build_model(Architecture(name, (1, 9, 9), 3), seed=1)
    with torch.no_grad():
        logits = model.eval()(data.images.float() / 255 - 0.4).numpy()
    expected = float(np.mean(np.argmax(logits, axis=1) == data.labels.numpy()))
    model.train()
    assert accuracy(model, data, preprocessing, SingleCommunicator()) == expected
    assert 0 < expected < 1


def test_evaluating_leaves_no_trace_in_the_model() -> None:
    model = build_model(Architecture("resnet18", (1, 9, 9), 3)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    accuracy(model, split(9, side=9), IDENTITY, SingleCommunicator())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
