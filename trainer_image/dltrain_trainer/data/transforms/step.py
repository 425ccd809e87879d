"""A fitted step of preprocessing, made of plain numbers; the base of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Step(nn.Module):
    """What happens to a batch, with the numbers that were found in the training split.

    A module, so that its numbers follow the model to a device and into every format of export.
    """

    name: ClassVar[str]
    """As in the stored form."""

    def __init__(self, **numbers: Any) -> None:
        super().__init__()
        self.numbers = numbers

    def to_dict(self) -> dict[str, Any]:
        """The step as plain JSON values."""
        return {"step": self.name, **self.numbers}

    def forward(self, batch: Tensor) -> Tensor:
        """Change a batch, in place where that is possible.

        Args:
            batch: float32, of the shape that the step was fitted to.
        """
        raise NotImplementedError

    def _hold(self, name: str, values: Sequence[Any], trailing: int = 0) -> None:
        """Keep numbers as a tensor that moves with the module; `trailing` axes of length 1 are added."""
        tensor = torch.tensor(values, dtype=torch.float32)
        self.register_buffer(name, tensor.view(*tensor.shape, *(1,) * trailing), persistent=False)
