"""The optimizer of a job."""

from __future__ import annotations

import torch
from torch import nn

from dltrain.api.pipeline import Train


def make_optimizer(model: nn.Module, train: Train) -> torch.optim.SGD:
    """SGD with momentum; weight decay for weights only.

    Decaying biases and normalisation parameters, which have one dimension, hurts (Goyal et al. 2017, section 5.3).
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": train.regularization.weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=train.optimizer.lr, momentum=train.optimizer.momentum)
