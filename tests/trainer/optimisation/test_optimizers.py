"""Optimizers: each against its paper, and against torch's own where torch has it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import pytest
import torch
from torch import Tensor, nn

from dltrain.api import optimizer as api
from dltrain_trainer.training.large_batch import lamb_ratio, lars_ratio
from dltrain_trainer.training.optimizers import OPTIMIZERS, make_optimizer
from tests.trainer.optimisation.settings import Weights, random, train_of, with_gradients

STEPS = [(random(3, 2, seed=seed) / 4, random(3, seed=seed + 50) / 4, 0.1 / (seed + 1)) for seed in range(4)]
"""Gradients of a matrix and a bias, and a learning rate."""
Point = tuple[Tensor, Tensor]
Memory = dict[str, Any]


class Of(NamedTuple):
    """What a step is told of a parameter."""

    rate: float
    decay: float
    is_matrix: bool


Rule = Callable[[Tensor, Tensor, Memory, Of], Tensor]
"""Weights, gradient, memory -> the next weights."""
SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd"},
    "sgd without momentum": {"name": "sgd", "momentum": 0},
    "sgd, nesterov": {"name": "sgd", "nesterov": True, "momentum": 0.8},
    "adam": {"name": "adam", "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
    "adamw": {"name": "adamw"},
    "lars": {"name": "lars", "trustCoefficient": 0.02},
    "lamb": {"name": "lamb", "beta2": 0.9},
}
every_optimizer = pytest.mark.parametrize("case", SETTINGS)


def start() -> Weights:
    return Weights(matrix=random(3, 2, seed=100), bias=random(3, seed=101))


def trained(case: str, decay: float = 0.03, **more: Any) -> Point:
    """Where the steps lead."""
    model = start()
    optimizer = make_optimizer(model, train_of(optimizer=SETTINGS[case], regularization={"weightDecay": decay, **more}))
    for matrix, bias, rate in STEPS:
        with_gradients(model, matrix, bias)
        optimizer.step(rate)
    matrix, bias = model.parameters()
    return matrix.detach(), bias.detach()


def followed(rule: Rule, decay: float = 0.03, bias_decay: float = 0.0) -> Point:
    """Where a rule leads, in fp64."""
    points = [one.detach().double() for one in start().parameters()]
    memories: list[Memory] = [{}, {}]
    for *gradients, rate in STEPS:
        for place, gradient in enumerate(gradients):
            of = Of(rate, (decay, bias_decay)[place], place == 0)
            points[place] = rule(points[place], gradient.double(), memories[place], of)
    return points[0].float(), points[1].float()


def assert_same(found: Point, expected: Point) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6), (one, other)


def sgd_rule(momentum: float, *, nesterov: bool = False) -> Rule:
    def rule(w: Tensor, g: Tensor, memory: Memory, of: Of) -> Tensor:
        g = g + of.decay * w
        memory["v"] = momentum * memory.get("v", 0) + g
        return w - of.rate * (g + momentum * memory["v"] if nesterov else memory["v"])

    return rule


def moments(g: Tensor, memory: Memory, beta1: float, beta2: float) -> tuple[Tensor, Tensor]:
    """Adam's corrected moments."""
    memory["t"] = memory.get("t", 0) + 1
    memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g
    memory["v"] = beta2 * memory.get("v", 0) + (1 - beta2) * g * g
    return memory["m"] / (1 - beta1 ** memory["t"]), memory["v"] / (1 - beta2 ** memory["t"])


def adam_rule(beta1: float, beta2: float, epsilon: float, *, decoupled: bool) -> Rule:
    def rule(w: Tensor, g: Tensor, memory: Memory, of: Of) -> Tensor:
        m, v = moments(g if decoupled else g + of.decay * w, memory, beta1, beta2)
        return (w - of.rate * of.decay * w if decoupled else w) - of.rate * m / (v.sqrt() + epsilon)

    return rule


def lars_rule(w: Tensor, g: Tensor, memory: Memory, of: Of) -> Tensor:
    local = 0.02 * w.norm() / (g.norm() + of.decay * w.norm()) if of.is_matrix else 1
    memory["v"] = 0.9 * memory.get("v", 0) + of.rate * local * (g + of.decay * w)
    return w - memory["v"]


def lamb_rule(w: Tensor, g: Tensor, memory: Memory, of: Of) -> Tensor:
    m, v = moments(g, memory, 0.9, 0.9)
    update = m / (v.sqrt() + 1e-6) + of.decay * w
    return w - of.rate * (w.norm() / update.norm() if of.is_matrix else 1) * update


RULES: dict[str, Rule] = {
    "sgd": sgd_rule(0.9),
    "sgd without momentum": sgd_rule(0.0),
    "sgd, nesterov": sgd_rule(0.8, nesterov=True),
    "adam": adam_rule(0.8, 0.95, 1e-3, decoupled=False),
    "adamw": adam_rule(0.9, 0.999, 1e-8, decoupled=True),
    "lars": lars_rule,
    "lamb": lamb_rule,
}


def test_every_optimizer_of_the_contract_is_here() -> None:
    assert set(get_args(api.Optimizer.model_fields["name"].annotation)) == set(OPTIMIZERS) == set(api.DEFAULT_RATES)
    assert {settings["name"] for settings in SETTINGS.values()} == set(OPTIMIZERS)


@every_optimizer
def test_steps_follow_the_paper_and_spare_biases_of_decay_and_adaptation(case: str) -> None:
    assert_same(trained(case), followed(RULES[case]))


@pytest.mark.parametrize(
    ("case", "make"),
    [
        pytest.param("sgd", lambda groups: torch.optim.SGD(groups, momentum=0.9), id="sgd"),
        pytest.param("adam", lambda groups: torch.optim.Adam(groups, betas=(0.8, 0.95), eps=1e-3), id="adam"),
        pytest.param("adamw", torch.optim.AdamW, id="adamw"),
    ],
)
def test_steps_are_those_of_torchs_optimizer(case: str, make: Any) -> None:
    model = start()
    matrix, bias = model.parameters()
    optimizer = make([{"params": [matrix], "weight_decay": 0.03}, {"params": [bias], "weight_decay": 0.0}])
    for *gradients, rate in STEPS:
        with_gradients(model, *gradients)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    assert_same(trained(case), (matrix.detach(), bias.detach()))


def test_biases_decay_too_where_the_job_says_so() -> None:
    assert_same(trained("sgd", normAndBias=True), followed(sgd_rule(0.9), bias_decay=0.03))


@pytest.mark.parametrize("ratio", [lambda w, g: lars_ratio(w, g, 0.0, 0.01), lamb_ratio], ids=["lars", "lamb"])
def test_a_layer_of_zeros_or_without_a_gradient_takes_a_plain_step(ratio: Any) -> None:
    zero, one = torch.zeros(2, 2), torch.ones(2, 2)
    assert [float(ratio(*pair)) for pair in ((zero, one), (one, zero), (zero, zero))] == [1, 1, 1]


# ---------------------------------------------------------------- state
SLOTS = {
    "sgd": {"momentum"},
    "sgd without momentum": set(),
    "sgd, nesterov": {"momentum"},
    "adam": {"steps", "firstMoment", "secondMoment"},
    "adamw": {"steps", "firstMoment", "secondMoment"},
    "lars": {"momentum"},
    "lamb": {"steps", "firstMoment", "secondMoment"},
}


@every_optimizer
def test_the_state_has_the_same_names_before_the_first_step_and_after(case: str) -> None:
    model = start()
    optimizer = make_optimizer(model, train_of(optimizer=SETTINGS[case]))
    before = {name: tensor.shape for name, tensor in optimizer.tensors().items()}
    with_gradients(model, *STEPS[0][:2])
    optimizer.step(0.1)
    assert before == {name: tensor.shape for name, tensor in optimizer.tensors().items()}
    assert set(before) == {f"{slot}.{name}" for slot in SLOTS[case] for name in ("matrix", "bias")}


@every_optimizer
def test_a_restored_state_goes_on_to_the_same_bits(case: str) -> None:
    settings = train_of(optimizer=SETTINGS[case], regularization={"weightDecay": 0.03})
    one = start()
    optimizer = make_optimizer(one, settings)
    for index, (*gradients, rate) in enumerate(STEPS):
        if index == 2:
            other = Weights(**{name: tensor.detach() for name, tensor in one.named_parameters()})
            restored = make_optimizer(other, settings)
            for name, tensor in restored.tensors().items():
                tensor.copy_(optimizer.tensors()[name])
        if index >= 2:
            with_gradients(other, *gradients)
            restored.step(rate)
        with_gradients(one, *gradients)
        optimizer.step(rate)
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(tensor, restored.tensors()[name]) for name, tensor in optimizer.tensors().items())


def test_parameters_that_are_not_trained_stay_and_are_not_remembered() -> None:
    model = start()
    model.bias.requires_grad_(False)
    optimizer = make_optimizer(model, train_of(regularization={"weightDecay": 0.5, "normAndBias": True}))
    model.matrix.grad = torch.ones(3, 2)
    before = model.bias.clone()
    optimizer.step(0.1)
    assert torch.equal(model.bias, before)
    assert list(optimizer.tensors()) == ["momentum.matrix"]


def test_any_memory_layout_gives_the_same_step() -> None:
    weights, gradient = random(4, 3, 2, 2), random(4, 3, 2, 2, seed=1)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = nn.Conv2d(3, 4, 2, bias=False)
        model.weight.data = weights.clone(memory_format=layout)
        optimizer = make_optimizer(model, train_of(optimizer={"name": "adam"}))
        flat = torch.zeros(weights.numel())
        model.weight.grad = torch.as_strided(flat, weights.shape, model.weight.stride())  # as buckets have it
        model.weight.grad.copy_(gradient)
        optimizer.step(0.1)
        found.append(model.weight.detach())
    assert torch.equal(*found)


def test_training_does_not_import_torchs_compilers() -> None:
    program = """
import sys, torch
from dltrain.api.train import Train
from dltrain_trainer.training.optimizers import OPTIMIZERS, make_optimizer
for name in OPTIMIZERS:
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(model, Train.model_validate({"optimizer": {"name": name}}))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step(0.1)
import dltrain_trainer.models.zoo, dltrain_trainer.training.step
sys.exit("torch._dynamo" in sys.modules)
"""
    paths = [path for path in sys.path if path]
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(paths)}, check=False)
    assert done.returncode == 0, "the start of a rank would take twice as long"
