"""Copies of a model's state beside it: the moving average of the weights, the best so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Shadow:
    """A copy of a model's parameters and buffers, which follows them as it is told to.

    Floating-point tensors are averaged, running statistics of normalisations among them; counters are copied.
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        """Copy a model's state.

        Args:
            model: on its device.
            name: begins the names of the tensors.
        """
        self._name = name
        self._tensors = {key: value.detach().clone() for key, value in model.state_dict().items()}

    def follow(self, model: nn.Module, decay: float = 0.0) -> None:
        """Move towards the model: shadow = decay shadow + (1 - decay) model; become it for a decay of 0.

        Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging", in exponential form.
        """
        state = model.state_dict()
        averaged = [key for key, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self._tensors[key] for key in averaged], [state[key] for key in averaged], 1 - decay)
        for key in state.keys() - set(averaged):
            self._tensors[key].copy_(state[key])

    @contextmanager
    def lent_to(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the shadow's state for a while."""
        own = {key: value.detach().clone() for key, value in model.state_dict().items()}
        self.give(model)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def give(self, model: nn.Module) -> None:
        """Give the model the shadow's state."""
        model.load_state_dict(self._tensors)

    def tensors(self) -> dict[str, Tensor]:
        """The state by name; the tensors themselves: write to them to restore a state."""
        return {f"{self._name}.{key}": value for key, value in self._tensors.items()}


def decay_at(decay: float, steps: int) -> float:
    """How much of the average a step keeps: less at the start, when it is still of the first weights.

    Args:
        decay: the most.
        steps: how many steps are done, this one included.
    """
    return min(decay, (1 + steps) / (10 + steps))
