"""Edits, batch statistics and the loss of a student."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from dltrain_trainer.compression.batch_norm import recalibrate
from dltrain_trainer.compression.distillation import Taught, soft_loss
from dltrain_trainer.compression.edits import apply_edits, from_dicts
from dltrain_trainer.training.losses import cross_entropy
from dltrain_trainer.training.precision import casting


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param({"layer": "9", "rank": 1}, "no layer 9", id="no such layer"),
        pytest.param({"layer": "1", "rank": 1}, "a ReLU cannot be split", id="a layer without weights"),
        pytest.param({"layer": "0", "sizes": {"forward": 3}, "tensors": {}}, "has no sizes", id="another attribute"),
        pytest.param({"layer": "0", "sizes": {}, "tensors": {"other": [3]}}, "and tensors", id="another tensor"),
    ],
)
def test_a_description_changes_sizes_of_layers_and_nothing_else(edit: dict[str, Any], message: str) -> None:
    stored = {"edit": "factored" if "rank" in edit else "resized", **edit}
    with pytest.raises(ValueError, match=message):
        apply_edits(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), from_dicts([stored]))


def test_an_unknown_edit_is_refused() -> None:
    with pytest.raises(KeyError):
        from_dicts([{"edit": "execute", "layer": "0"}])


def test_statistics_become_those_of_the_samples_and_weights_and_modes_stay() -> None:
    linear, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    model = nn.Sequential(linear, norm, nn.Dropout(0.5)).eval()
    norm.momentum, norm.training = 0.3, True
    samples = torch.randn(128, 3, generator=torch.Generator().manual_seed(0))
    weight = linear.weight.clone()
    recalibrate(model, samples)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, linear(samples).mean(0), atol=1e-5)
    assert torch.equal(linear.weight, weight)
    assert (norm.momentum, [layer.training for layer in model]) == (0.3, [False, True, False])


LOGITS, TEACHER = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0]])


def test_soft_loss_is_hintons() -> None:
    def softmax(row: list[float], temperature: float) -> list[float]:
        powers = [math.exp(value / temperature) for value in row]
        return [power / sum(powers) for power in powers]

    wanted = sum(
        -16 * p * math.log(q)
        for outputs, taught in zip(LOGITS.tolist(), TEACHER.tolist(), strict=True)
        for p, q in zip(softmax(taught, 4), softmax(outputs, 4), strict=True)
    )
    assert float(soft_loss(LOGITS, TEACHER, "classification", 4)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_a_student_that_answers_as_its_teacher_has_no_gradient(task: Any) -> None:
    outputs = TEACHER.clone().requires_grad_()
    soft_loss(outputs, TEACHER, task, 3.0).backward()
    assert outputs.grad is not None
    assert torch.allclose(outputs.grad, torch.zeros_like(TEACHER), atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_teacher_sees_the_student_s_batch_in_the_job_s_precision_and_both_losses_are_weighted(
    precision: str,
) -> None:
    teacher, student = nn.Linear(3, 2), nn.Linear(3, 2)
    cast = casting(precision, torch.device("cpu"))
    loss = Taught(teacher, 2.0, 0.25, "classification", cross_entropy, cast)
    batch, targets = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    outputs = loss.watched(student)(batch)
    with cast():
        taught = teacher(batch)
    assert taught.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    soft = soft_loss(outputs, taught, "classification", 2.0)
    assert torch.equal(loss(outputs, targets), 0.75 * cross_entropy(outputs, targets) + 0.25 * soft)
