"""Clipping of the gradient of all parameters together (Pascanu et al. 2013, "On the difficulty of training RNNs")."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_


def clip_to_norm(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale gradients down so that the Euclidean norm of all together is at most a limit; keep shorter ones.

    Args:
        parameters: with gradients, summed over the ranks, which are changed.
        limit: the longest that they may be.

    Returns:
        Their norm before, a scalar; not finite if they are not, and then they stay so.
    """
    return clip_grad_norm_(parameters, limit, foreach=True)
