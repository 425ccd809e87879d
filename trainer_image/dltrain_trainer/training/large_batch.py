"""Optimizers for very large batches: each layer's step has a length that fits that of its weights.

Parameters of one dimension (biases, normalisations) take plain steps: groups say so with `adapt`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dltrain.api.optimizer import Optimizer
from dltrain_trainer.training.groups import Group


def lars(group: Group, settings: Optimizer, rate: float) -> None:
    """SGD with layer-wise rates: v = momentum v + rate local (g + decay w); w = w - v.

    You et al. 2017, "Large Batch Training of Convolutional Networks", algorithm 1; the local rate is `lars_ratio`.
    """
    for weights, gradient, velocity in zip(group.values, group.gradients, group.memory["momentum"], strict=True):
        local = lars_ratio(weights, gradient, group.decay, settings.trust) if group.adapt else 1.0
        update = gradient.add(weights, alpha=group.decay).mul_(local)
        velocity.mul_(settings.momentum_factor).add_(update, alpha=rate)
        weights.sub_(velocity)


def lars_ratio(weights: Tensor, gradient: Tensor, decay: float, trust: float) -> Tensor:
    """LARS's local rate: trust |w| / (|g| + decay |w|); 1 where w or g is zero (You et al. 2017, equation 6)."""
    weight, slope = weights.norm(), gradient.norm()
    return one_unless(weight, slope, trust * weight / (slope + decay * weight))


def lamb(group: Group, settings: Optimizer, rate: float) -> None:
    """Adam with layer-wise rates: u = m / (sqrt(v) + epsilon) + decay w; w = w - rate |w| / |u| u.

    You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2, m and v Adam's moments with its
    correction for the first steps.
    """
    memory = (group.memory[slot] for slot in ("steps", "firstMoment", "secondMoment"))
    for weights, gradient, *own in zip(group.values, group.gradients, *memory, strict=True):
        update = adam_direction(gradient, (own[0], own[1], own[2]), settings)
        update.add_(weights, alpha=group.decay)
        local = lamb_ratio(weights, update) if group.adapt else 1.0
        weights.sub_(update.mul_(local), alpha=rate)


def lamb_ratio(weights: Tensor, update: Tensor) -> Tensor:
    """LAMB's local rate: |w| / |u|; 1 where w or u is zero (You et al. 2020, algorithm 2, phi the identity)."""
    weight, length = weights.norm(), update.norm()
    return one_unless(weight, length, weight / length)


def adam_direction(gradient: Tensor, memory: tuple[Tensor, Tensor, Tensor], settings: Optimizer) -> Tensor:
    """Adam's step for a learning rate of 1 (Kingma and Ba 2015, algorithm 1).

    Args:
        gradient: the newest.
        memory: steps done, mean and mean square of the gradients; brought up to date.
        settings: the betas and epsilon.
    """
    (keep_mean, keep_square), (steps, mean, square) = settings.betas, memory
    steps.add_(1)
    mean.lerp_(gradient, 1 - keep_mean)
    square.mul_(keep_square).addcmul_(gradient, gradient, value=1 - keep_square)
    root = (square / (1 - keep_square**steps)).sqrt_().add_(settings.smallest_divisor)
    return mean / (1 - keep_mean**steps) / root


def one_unless(first: Tensor, second: Tensor, ratio: Tensor) -> Tensor:
    """A ratio where both lengths are positive, else 1; scalars, and no wait for the device."""
    return torch.where((first > 0) & (second > 0), ratio, torch.ones_like(ratio))
