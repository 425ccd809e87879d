"""The optimizers of a job, and what each remembers of a parameter.

Where the arithmetic is torch's, it is its functions, not its classes: to construct any torch.optim.Optimizer imports
torch's compilers, which take longer than all the rest that a rank imports.  Fused, a step is one pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim.adam import adam as torch_adam
from torch.optim.sgd import sgd as torch_sgd

from dltrain.api import optimizer as api
from dltrain.api.train import Train
from dltrain_trainer.training.groups import First, Group, make_groups, parts_of
from dltrain_trainer.training.large_batch import lamb, lars


def sgd(group: Group, settings: api.Optimizer, rate: float) -> None:
    """Stochastic gradient descent: v = momentum v + g; w = w - rate v (Nesterov: w - rate (g + momentum v)).

    Sutskever et al. 2013, "On the importance of initialization and momentum", in torch's form; g holds decay w.
    """
    torch_sgd(
        group.values,
        group.gradients,
        list(group.memory.get("momentum", [None] * len(group.parameters))),
        fused=True,
        weight_decay=group.decay,
        momentum=settings.momentum_factor,
        lr=rate,
        dampening=0.0,
        nesterov=bool(settings.nesterov),
        maximize=False,
    )


def adam(group: Group, settings: api.Optimizer, rate: float) -> None:
    """Kingma and Ba 2015, "Adam", algorithm 1: w = w - rate m / (sqrt(v) + epsilon); g holds decay w."""
    adaptive(group, settings, rate, decoupled=False)


def adamw(group: Group, settings: api.Optimizer, rate: float) -> None:
    """Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2: Adam on w - rate decay w."""
    adaptive(group, settings, rate, decoupled=True)


def adaptive(group: Group, settings: api.Optimizer, rate: float, *, decoupled: bool) -> None:
    """A step of Adam's in torch's fused kernel."""
    torch_adam(
        group.values,
        group.gradients,
        group.memory["firstMoment"],
        group.memory["secondMoment"],
        [],
        group.memory["steps"],
        fused=True,
        decoupled_weight_decay=decoupled,
        amsgrad=False,
        beta1=settings.betas[0],
        beta2=settings.betas[1],
        lr=rate,
        weight_decay=group.decay,
        eps=settings.smallest_divisor,
        maximize=False,
    )


def no_steps(parameter: Tensor) -> Tensor:
    """A count of zero, of the type and on the device that torch's fused kernels want."""
    return torch.zeros((), dtype=torch.float32, device=parameter.device)


MOMENTUM: Final[Mapping[str, First]] = {"momentum": torch.zeros_like}
MOMENTS: Final[Mapping[str, First]] = {
    "steps": no_steps,
    "firstMoment": torch.zeros_like,
    "secondMoment": torch.zeros_like,
}


@dataclass(frozen=True, slots=True)
class Method:
    """One way to follow gradients."""

    step: Callable[[Group, api.Optimizer, float], None]
    """Change a group of parameters, and what is remembered of them, for a learning rate."""
    memory: Callable[[api.Optimizer], Mapping[str, First]]
    """What is remembered of each parameter, by its name in checkpoints."""


OPTIMIZERS: Final[dict[str, Method]] = {
    "sgd": Method(sgd, lambda settings: MOMENTUM if settings.momentum_factor else {}),
    "adam": Method(adam, lambda _settings: MOMENTS),
    "adamw": Method(adamw, lambda _settings: MOMENTS),
    "lars": Method(lars, lambda _settings: MOMENTUM),
    "lamb": Method(lamb, lambda _settings: MOMENTS),
}


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What changes the parameters of a model."""

    settings: api.Optimizer
    groups: list[Group]
    names: Mapping[nn.Parameter, str]
    """The parameters that are trained, in the model's order."""

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Follow the gradients that the parameters have, in place."""
        for group in self.groups:
            OPTIMIZERS[self.settings.name].step(group, self.settings, rate)

    def tensors(self) -> dict[str, Tensor]:
        """All that is remembered, by name; the same names at every step.

        They are the tensors themselves: write to them to restore a state.
        """
        return {
            f"{slot}.{self.names[parameter]}": tensor
            for group in self.groups
            for slot, tensors in group.memory.items()
            for parameter, tensor in zip(group.parameters, tensors, strict=True)
        }


def make_optimizer(model: nn.Module, train: Train) -> Optimizer:
    """The optimizer of a job.

    Args:
        model: what it trains, on its device; each parameter must have a gradient when a step is taken.
        train: the job's training settings.
    """
    slots = OPTIMIZERS[train.optimizer.name].memory(train.optimizer)
    groups = make_groups(parts_of(model), train.regularization, slots)
    names = {one: name for name, one in model.named_parameters() if one.requires_grad}
    return Optimizer(train.optimizer, groups, names)
