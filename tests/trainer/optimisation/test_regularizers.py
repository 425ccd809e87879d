"""Penalties and clipping, against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dltrain.api.train import Regularization
from dltrain_trainer.training.clipping import clip_to_norm
from dltrain_trainer.training.groups import make_groups, parts_of
from dltrain_trainer.training.regularizers import add_penalties
from tests.trainer.optimisation.settings import Weights, with_gradients

MATRIX = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
BIAS = torch.tensor([4.0, -4.0])


def grad_of(parameter: nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


def model() -> Weights:
    one = Weights(matrix=MATRIX, bias=BIAS)
    with_gradients(one, torch.ones(2, 2), torch.ones(2))
    return one


@pytest.mark.parametrize(
    ("l1", "l2", "gradient", "penalty"),
    [
        pytest.param(0.1, 0.0, [[1.1, 0.9], [1.0, 1.1]], 0.35, id="l1"),
        pytest.param(0.0, 0.2, [[1.2, 0.6], [1.0, 1.1]], 0.525, id="l2"),
        pytest.param(0.1, 0.2, [[1.3, 0.5], [1.0, 1.2]], 0.875, id="both"),
    ],
)
def test_a_penalty_adds_its_value_and_its_gradient(
    l1: float, l2: float, gradient: list[list[float]], penalty: float
) -> None:
    one = model()
    found = add_penalties([one.matrix], l1, l2)
    assert found.item() == pytest.approx(penalty)
    assert torch.allclose(grad_of(one.matrix), torch.tensor(gradient))
    assert torch.equal(grad_of(one.bias), torch.ones(2))


def test_the_gradient_of_a_penalty_is_that_of_autograd() -> None:
    one, other = model(), model()
    add_penalties([one.matrix, one.bias], 0.03, 0.07)
    values = list(other.parameters())
    loss = sum(value.sum() + 0.03 * value.abs().sum() + 0.07 / 2 * value.square().sum() for value in values)
    other.zero_grad()
    torch.as_tensor(loss).backward()
    assert all(torch.allclose(grad_of(a), grad_of(b)) for a, b in zip(one.parameters(), values, strict=True))


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("all_of_it", "decays", "penalized"),
    [
        pytest.param(False, {"0.weight": 0.5, "3.weight": 0.5}, {"0.weight", "3.weight"}, id="by default"),
        pytest.param(
            True,
            dict.fromkeys(("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"), 0.5),
            {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"},
            id="where the job says all",
        ),
    ],
)
def test_biases_and_normalisations_are_spared_unless_told_otherwise(
    all_of_it: bool, decays: dict[str, float], penalized: set[str]
) -> None:
    one = network()
    settings = Regularization(weight_decay=0.5, norm_and_bias=all_of_it)
    names = {parameter: name for name, parameter in one.named_parameters()}
    groups = make_groups(parts_of(one), settings, {})
    assert {names[p]: group.decay for group in groups for p in group.parameters if group.decay} == decays
    assert {names[p] for p in parts_of(one).regularized(settings)} == penalized


def test_a_shared_parameter_is_regularised_once() -> None:
    one = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    one[1].weight = one[0].weight
    assert len(parts_of(one).weights) == 1


# ---------------------------------------------------------------- clipping
@pytest.mark.parametrize(
    ("limit", "scale"),
    [pytest.param(1.0, 1 / 6**0.5, id="longer than the limit"), pytest.param(3.0, 1.0, id="shorter than the limit")],
)
def test_all_gradients_together_are_scaled_to_the_limit(limit: float, scale: float) -> None:
    one = model()
    norm = clip_to_norm(list(one.parameters()), limit)
    assert norm.item() == pytest.approx(6**0.5)
    assert torch.allclose(grad_of(one.matrix), torch.full((2, 2), scale), rtol=1e-5)
    assert torch.allclose(grad_of(one.bias), torch.full((2,), scale), rtol=1e-5)


def test_a_gradient_that_is_not_finite_stays_so() -> None:
    one = model()
    grad_of(one.bias)[0] = torch.nan
    assert clip_to_norm(list(one.parameters()), 1.0).isnan()
    assert grad_of(one.bias).isnan().all()
