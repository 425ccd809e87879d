"""Loss scaling for fp16 (Micikevicius et al. 2018, "Mixed Precision Training", section 3.2).

Small gradients vanish in fp16; so the loss is multiplied by a large number before backward, and the gradients, in fp32,
are divided by it.  A step whose gradients are not finite is left out and the scale halved; after a while without one it
is doubled.  The ranks decide alike, for they look at the gradients that they have summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

FIRST: Final = 2.0**16
LARGEST: Final = 2.0**24
FACTOR: Final = 2.0
PATIENCE: Final = 2000
"""Steps without an overflow before the scale is doubled."""


def next_scale(scale: float, good: int, *, finite: bool) -> tuple[float, int]:
    """The scale of the next step.

    Args:
        scale: of this step.
        good: steps in a row, before this one, without an overflow.
        finite: whether this one was without.

    Returns:
        The scale, and the steps in a row.
    """
    if not finite:
        return max(scale / FACTOR, 1.0), 0
    if good + 1 == PATIENCE:
        return min(scale * FACTOR, LARGEST), 0
    return scale, good + 1


class LossScale:
    """The scale of a run."""

    def __init__(self) -> None:
        self._state = torch.tensor([FIRST, 0.0], dtype=torch.float64)

    @property
    def value(self) -> float:
        """What the loss is multiplied by."""
        return float(self._state[0])

    def settle(self, gradients: Sequence[Tensor]) -> bool:
        """Divide gradients by the scale, and set that of the next step.

        Args:
            gradients: summed over the ranks; changed in place.

        Returns:
            Whether all are finite, so that the step is to be taken.
        """
        finite = all_finite(gradients)
        if finite:
            torch._foreach_mul_(list(gradients), 1 / self.value)
        scale, good = next_scale(self.value, int(self._state[1]), finite=finite)
        self._state.copy_(torch.tensor([scale, good], dtype=torch.float64))
        return finite

    def tensors(self) -> dict[str, Tensor]:
        """The state by name; the tensor itself: write to it to restore a state."""
        return {"lossScale": self._state}


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether no tensor holds an infinity or NaN."""
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())
