"""Losses: against their formulas, and as sums that add up over any shares of a batch."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from dltrain.api.train import Train
from dltrain_trainer.training.losses import LOSSES, TASKS, check_task, class_weights, make_loss
from tests.trainer.optimisation.settings import random, train_of

LOGITS, CLASSES = random(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
LABELS, VALUES = (random(7, 3, seed=1) > 0).float(), random(7, 3, seed=2)
WEIGHTS = torch.tensor([0.5, 2.0, 1.5])
MIXED = torch.softmax(random(7, 3, seed=3), 1)
CASES: dict[str, tuple[dict[str, Any], Tensor]] = {
    "crossEntropy": ({"loss": "crossEntropy"}, CLASSES),
    "crossEntropy, mixed targets": ({"loss": "crossEntropy"}, MIXED),
    "crossEntropy, smoothed": ({"loss": "crossEntropy", "crossEntropy": {"labelSmoothing": 0.1}}, CLASSES),
    "bceWithLogits": ({"loss": "bceWithLogits"}, LABELS),
    "mse": ({"loss": "mse"}, VALUES),
    "huber": ({"loss": "huber", "huber": {"delta": 0.7}}, VALUES),
}
every_loss = pytest.mark.parametrize("case", CASES)


def total(case: str, outputs: Tensor = LOGITS, targets: Tensor | None = None) -> Tensor:
    settings, own = CASES[case]
    return make_loss(train_of(**settings))(outputs, own if targets is None else targets)


def log_softmax(logits: Tensor) -> Tensor:
    return logits - logits.exp().sum(1, keepdim=True).log()


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def huber(errors: Tensor, delta: float) -> Tensor:
    return torch.where(errors.abs() <= delta, errors**2 / 2, delta * (errors.abs() - delta / 2))


EXPECTED: dict[str, Tensor] = {
    "crossEntropy": -log_softmax(LOGITS)[range(7), CLASSES].sum(),
    "crossEntropy, mixed targets": -(MIXED * log_softmax(LOGITS)).sum(),
    "crossEntropy, smoothed": -((0.9 * torch.eye(3)[CLASSES] + 0.1 / 3) * log_softmax(LOGITS)).sum(),
    "bceWithLogits": -(LABELS * sigmoid(LOGITS).log() + (1 - LABELS) * (1 - sigmoid(LOGITS)).log()).mean(1).sum(),
    "mse": ((LOGITS - VALUES) ** 2).mean(1).sum(),
    "huber": huber(LOGITS - VALUES, 0.7).mean(1).sum(),
}


def test_every_loss_of_the_contract_is_here_and_has_its_task() -> None:
    assert set(get_args(Train.model_fields["loss"].annotation)) == set(LOSSES) == set(TASKS)
    assert {case.partition(",")[0] for case in CASES} == set(LOSSES)


@every_loss
def test_a_loss_is_the_sum_of_its_formula_over_the_samples(case: str) -> None:
    found = total(case)
    assert (found.shape, found.dtype) == ((), torch.float32)
    assert float(found) == pytest.approx(float(EXPECTED[case]), rel=1e-5)


@every_loss
def test_any_shares_of_a_batch_add_up_to_the_loss_and_the_gradient_of_the_whole(case: str) -> None:
    targets, whole = CASES[case][1], LOGITS.clone().requires_grad_()
    total(case, whole).backward()
    shares, losses = [slice(0, 0), slice(0, 1), slice(1, 5), slice(5, 7)], []
    shared = LOGITS.clone().requires_grad_()
    for share in shares:
        loss = total(case, shared[share], targets[share])
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == 0
    assert sum(losses) == pytest.approx(float(total(case)), rel=1e-6)
    assert whole.grad is not None
    assert shared.grad is not None
    assert torch.allclose(shared.grad, whole.grad, rtol=1e-6, atol=1e-8)


@every_loss
def test_half_precision_outputs_lose_nothing_in_the_loss(case: str) -> None:
    rounded = LOGITS.bfloat16()
    assert torch.equal(total(case, rounded), total(case, rounded.float()))


@pytest.mark.parametrize("case", ["bceWithLogits", "mse", "huber"])
def test_targets_of_one_column_may_have_one_dimension(case: str) -> None:
    outputs, targets = LOGITS[:, :1], CASES[case][1][:, 0]
    assert torch.equal(total(case, outputs, targets), total(case, outputs, targets[:, None]))


def test_an_extreme_logit_gives_a_finite_loss() -> None:
    outputs = torch.tensor([[1000.0, -1000.0, 0.0]])
    labels = torch.tensor([[0.0, 1.0, 1.0]])
    assert float(total("bceWithLogits", outputs, labels)) == pytest.approx((2000 + 0.693147) / 3)
    assert float(total("crossEntropy", outputs, torch.tensor([1]))) == 2000


# ---------------------------------------------------------------- class weights
def weighted(**options: Any) -> Train:
    return train_of(crossEntropy=options)


def test_a_class_weight_scales_the_loss_of_its_samples() -> None:
    settings = weighted(classWeights=WEIGHTS.tolist())
    weights = class_weights(settings, CLASSES, 3)
    expected = -(WEIGHTS[CLASSES] * log_softmax(LOGITS)[range(7), CLASSES]).sum()
    assert float(make_loss(settings, weights)(LOGITS, CLASSES)) == pytest.approx(float(expected), rel=1e-6)


def test_balanced_weights_are_in_inverse_proportion_to_the_number_of_samples_and_one_on_average() -> None:
    weights = class_weights(weighted(balanced=True), CLASSES, 3)
    assert weights is not None
    assert weights.tolist() == pytest.approx([7 / (3 * 3), 7 / (3 * 2), 7 / (3 * 2)])
    assert float(weights[CLASSES].mean()) == pytest.approx(1)


def test_a_class_that_does_not_occur_leaves_the_average_at_one() -> None:
    weights = class_weights(weighted(balanced=True), CLASSES, 5)
    assert weights is not None
    assert weights.isfinite().all()
    assert float(weights[CLASSES].mean()) == pytest.approx(1)


def test_without_options_all_classes_count_alike() -> None:
    assert class_weights(train_of(), CLASSES, 3) is None


def test_weights_for_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^there must be a weight for each of the 4 classes, got 3$"):
        class_weights(weighted(classWeights=[1, 2, 3]), CLASSES, 4)


# ---------------------------------------------------------------- tasks
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_a_loss_is_refused_for_another_task(loss: str, task: str) -> None:
    if TASKS[loss] == task:
        check_task(loss, task)
    else:
        with pytest.raises(ValueError, match=f"^{loss} is for {TASKS[loss]}, the data is for {task}; use "):
            check_task(loss, task)


def test_the_message_names_the_losses_that_fit() -> None:
    with pytest.raises(ValueError, match=r"; use mse or huber$"):
        check_task("crossEntropy", "regression")
