"""Small models of the zoo on their way through the steps, with everything that a step may use."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dltrain.api.compress import CompressStep, Distill
from dltrain_trainer.compression.subject import Inputs, Subject
from dltrain_trainer.models.blueprint import Blueprint
from dltrain_trainer.training.losses import cross_entropy
from tests.trainer.zoo.cases import CASES, OUTPUTS


def fitted(model: nn.Module, prepared: Tensor) -> nn.Module:
    """A model whose batch normalisations have seen samples: fresh ones would hide a wrong statistic."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(prepared)
    return model.eval()


def subject_of(case: str, seed: int = 0) -> Subject:
    """A model of the zoo's cases."""
    model, shape = CASES[case]
    blueprint = Blueprint(model, shape, OUTPUTS)
    return Subject(blueprint, (), fitted(blueprint.build(seed), inputs_of(case).prepared))


def train_a_little(model: nn.Module, prepared: Tensor, targets: Tensor, epochs: int) -> None:
    """Some steps of gradient descent with momentum and decay."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    model.train()
    for _ in range(epochs):
        optimizer.zero_grad()
        (cross_entropy(model(prepared), targets) / len(targets)).backward()
        optimizer.step()


def inputs_of(case: str, count: int = 16) -> Inputs:
    """Samples for a case, and training that takes no time."""
    generator = torch.Generator().manual_seed(1)
    prepared = torch.randn(count, *CASES[case][1], generator=generator)
    targets = torch.randint(0, OUTPUTS, (count,), generator=generator)

    def fine_tune(model: nn.Module, epochs: int) -> None:
        train_a_little(model, prepared, targets, epochs)

    def teach(student: nn.Module, spec: Distill) -> None:
        train_a_little(student, prepared, targets, spec.epochs)

    return Inputs(prepared, targets, cross_entropy, lambda make: make(), fine_tune, teach)


def step_of(**fields: object) -> CompressStep:
    """A step, by the names of its options in YAML."""
    return CompressStep.model_validate(fields)
