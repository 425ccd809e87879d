"""Statistics of batch normalisations after weights have changed (Wu and Johnson 2021, "Rethinking Batch")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH = 64


@torch.no_grad()
def recalibrate(model: nn.Module, samples: Tensor) -> None:
    """Set the running statistics of every batch normalisation to those of some samples; no weight changes.

    Args:
        model: changed in place; its mode stays.
        samples: prepared, shape (n, ...), at least two.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not norms or len(samples) < 2:
        return
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for batch in even_parts(samples):
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in modes.items():
        module.training = mode


def even_parts(samples: Tensor) -> tuple[Tensor, ...]:
    """Batches of nearly the same size, so that each counts as much as the others."""
    return samples.tensor_split(max(1, round(len(samples) / BATCH)))
