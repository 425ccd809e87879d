"""Penalties on the size of weights.

Their gradient is added after the ranks have summed that of the loss: it is the same on every rank, and counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def add_penalties(parameters: Sequence[nn.Parameter], l1: float, l2: float) -> Tensor:
    """Add the gradients of l1 |w| + l2 / 2 w^2, summed over all weights, to those of the loss.

    The gradient is l1 sign(w) + l2 w (Tibshirani 1996 and Krogh and Hertz 1992; Goodfellow et al. 2016, section 7.1);
    sign(0) is 0.

    Args:
        parameters: each with a gradient, which is changed; at least one.
        l1: weight of the sum of absolute values.
        l2: weight of half the sum of squares.

    Returns:
        The penalties, a scalar on the parameters' device.
    """
    weights = [parameter.detach() for parameter in parameters]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = weights[0].new_zeros(())
    if l1:
        torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=l1)  # noqa: SLF001 - as torch's optimizers
        total += l1 * torch.stack(torch._foreach_norm(weights, 1)).sum()  # noqa: SLF001
    if l2:
        torch._foreach_add_(gradients, weights, alpha=l2)
        total += l2 / 2 * torch.stack(torch._foreach_norm(weights, 2)).square().sum()  # noqa: SLF001
    return total
