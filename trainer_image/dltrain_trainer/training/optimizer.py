"""The optimizer of a job."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from dltrain.api.pipeline import Train


class Sgd:
    """Stochastic gradient descent with momentum; weight decay for weights only.

    Decaying biases and normalisation parameters, which have one dimension, hurts (Goyal et al. 2017, section 5.3).

    The step is PyTorch's, but not its class: to construct any torch.optim.Optimizer imports PyTorch's compilers, which
    nobody uses here, and which take longer than all the rest that a rank imports.
    """

    def __init__(self, model: nn.Module, momentum: float, weight_decay: float) -> None:
        parameters = list(model.parameters())
        self._momentum = momentum
        self._groups = [
            ([one for one in parameters if one.ndim > 1], weight_decay),
            ([one for one in parameters if one.ndim <= 1], 0.0),
        ]
        self.momenta: dict[Tensor, Tensor] = {one: torch.zeros_like(one) for one in parameters}
        """The momentum of each parameter, zero before the first step."""

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change every parameter by what its gradient says, in place."""
        for parameters, weight_decay in self._groups:
            sgd(
                list[Tensor](parameters),
                [one.grad for one in parameters if one.grad is not None],
                [self.momenta[one] for one in parameters],
                weight_decay=weight_decay,
                momentum=self._momentum,
                lr=rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )


def make_optimizer(model: nn.Module, train: Train) -> Sgd:
    """The optimizer of a model's parameters; each must have a gradient when a step is taken."""
    return Sgd(model, train.optimizer.momentum, train.regularization.weight_decay)
