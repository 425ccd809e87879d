"""The optimizer of a job."""

from __future__ import annotations

import torch
from torch import nn

from dltrain_trainer.training.optimizer import make_optimizer
from tests.trainer.builders import train_settings

SETTINGS = train_settings(optimizer={"lr": 0.5, "momentum": 0.9}, regularization={"weightDecay": 0.1})


def model() -> nn.Sequential:
    """A model with a convolution, a normalisation and a linear layer."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))


def test_weights_decay_and_biases_and_normalisations_do_not() -> None:
    one = model()
    optimizer = make_optimizer(one, SETTINGS)
    before = {name: parameter.detach().clone() for name, parameter in one.named_parameters()}
    for parameter in one.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.5)
    factors = {name: 0.95 if name in {"0.weight", "3.weight"} else 1.0 for name in before}  # 1 - lr * decay
    for name, parameter in one.named_parameters():
        assert torch.allclose(parameter, before[name] * factors[name], rtol=1e-6), name


def test_steps_follow_the_momentum_as_the_textbook_has_it() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = make_optimizer(layer, SETTINGS)
    expected, velocity = 1.0, 0.0
    for gradient, rate in ((0.3, 0.5), (-0.2, 0.1), (0.1, 0.7)):
        velocity = 0.9 * velocity + gradient + 0.1 * expected
        expected -= rate * velocity
        layer.weight.grad = torch.tensor([[gradient]])
        optimizer.step(rate)
    assert abs(layer.weight.item() - expected) < 1e-6


def test_without_momentum_a_step_is_plain_descent() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = make_optimizer(layer, train_settings(optimizer={"momentum": 0}))
    for _ in range(2):
        layer.weight.grad = torch.tensor([[0.25]])
        optimizer.step(0.5)
    assert layer.weight.item() == 0.75
