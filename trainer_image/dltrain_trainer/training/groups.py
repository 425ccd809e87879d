"""The parameters of a model in groups that are treated alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from dltrain.api.train import Regularization

First = Callable[[Tensor], Tensor]
"""A parameter -> what an optimizer remembers of it before the first step."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parameters of a model that are trained, by what they are."""

    weights: tuple[nn.Parameter, ...]
    """Those of two and more dimensions."""
    others: tuple[nn.Parameter, ...]
    """Biases and the scales and shifts of normalisations, which have one dimension."""

    def regularized(self, regularization: Regularization) -> tuple[nn.Parameter, ...]:
        """Those that the job's regularisation applies to."""
        return (*self.weights, *self.others) if regularization.norm_and_bias else self.weights


@dataclass(frozen=True, slots=True)
class Group:
    """Some parameters with the same settings, and what an optimizer remembers of them."""

    parameters: list[nn.Parameter]
    """Each has a gradient whenever a step is taken."""
    decay: float
    """Their weight decay."""
    adapt: bool
    """Whether LARS and LAMB fit the length of a step to that of the weights."""
    memory: dict[str, list[Tensor]]
    """By what is remembered: one tensor a parameter."""

    @property
    def values(self) -> list[Tensor]:
        """The parameters as plain tensors, to be changed in place."""
        return [parameter.detach() for parameter in self.parameters]

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients of the parameters."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]


def parts_of(model: nn.Module) -> Parts:
    """The parameters of a model that are trained, each once, by what they are."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Parts(
        tuple(parameter for parameter in trained if parameter.ndim > 1),
        tuple(parameter for parameter in trained if parameter.ndim <= 1),
    )


def make_groups(parts: Parts, regularization: Regularization, slots: Mapping[str, First]) -> list[Group]:
    """Weights and other parameters, each with its decay and a memory of no step; no empty group.

    Args:
        parts: of the model.
        regularization: the job's.
        slots: what is remembered of each parameter.
    """
    decay = regularization.weight_decay
    kinds = [(parts.weights, decay, True), (parts.others, decay if regularization.norm_and_bias else 0.0, False)]
    return [
        Group(
            list(parameters),
            own_decay,
            adapt,
            {slot: [first(parameter.detach()) for parameter in parameters] for slot, first in slots.items()},
        )
        for parameters, own_decay, adapt in kinds
        if parameters
    ]
