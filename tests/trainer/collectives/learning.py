"""A small training whose steps several ranks can share in any way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dltrain.api.model import Model
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.device import device_of
from dltrain_trainer.models.noise import sample_keys
from dltrain_trainer.models.zoo import build
from dltrain_trainer.training.learner import Learner, make_learner
from dltrain_trainer.training.losses import make_loss
from dltrain_trainer.training.step import Outcome, Samples, train_step
from tests.trainer.optimisation.settings import train_of

CLASSES = torch.arange(12) % 3
IMAGES = torch.rand(12, 2, 10, 9, generator=torch.Generator().manual_seed(1))
for image, label in zip(IMAGES, CLASSES, strict=True):
    image[:, 3 * label : 3 * label + 3] += 1  # a bright bar, whose place is the class
CNN: dict[str, Any] = {
    "name": "cnn",
    "cnn": {"blocks": [{"channels": 3}, {"channels": 5}], "widths": [16]},
    "dropout": 0.2,
}
NORMALIZED: dict[str, Any] = {
    "name": "cnn",
    "cnn": {"blocks": [{"channels": 3, "normalize": True}, {"channels": 4, "normalize": True}], "widths": [8]},
}
"""With batch normalisations."""
BUILDING = threading.Lock()
"""Ranks that are threads share torch's generator, which first weights come from."""
Share = slice | list[int]
"""Of the samples."""
Cut = Callable[[int, int], Share]
"""A rank and the number of ranks -> its share of the samples."""


def evenly(rank: int, size: int) -> slice:
    """Shares as alike as can be."""
    return slice(12 * rank // size, 12 * (rank + 1) // size)


def unequally(rank: int, size: int) -> slice:
    """One sample for the first rank, none for the last, all others for those between; two ranks at least."""
    bounds = [0, 1, *(12 for _ in range(size - 1))]
    return slice(bounds[rank], bounds[rank + 1])


def learner_of(
    communicator: Communicator, model: dict[str, Any], precision: str = "fp32", device: str = "cpu", **train: Any
) -> Learner:
    """A model and all that a step changes it with."""
    settings = train_of(**{"communication": {}, **train, "globalBatchSize": 12})
    with BUILDING:
        built: nn.Module = build(Model.model_validate(model), tuple(IMAGES.shape[1:]), 3, seed=4)
    return make_learner(built.to(device), settings, make_loss(settings), communicator, precision)


def samples_of(share: Share, step: int, device: torch.device) -> Samples:
    """A share of the batch of a step."""
    inputs, targets, keys = (one[share].to(device) for one in (IMAGES, CLASSES, sample_keys(5, step, np.arange(12))))
    return Samples(inputs, targets, 12, keys)


def steps(learner: Learner, share: Share, count: int, first: int = 0) -> list[Outcome]:
    """Take some steps, at the peak of the learning rate."""
    rate, device = learner.train.peak_rate, device_of(learner.model)
    return [train_step(learner, samples_of(share, step, device), rate, step) for step in range(first, first + count)]


def state(learner: Learner) -> dict[str, Tensor]:
    """A copy of the state of training."""
    return {name: tensor.clone() for name, tensor in learner.tensors().items()}


def trained(communicator: Communicator, model: dict[str, Any], cut: Cut = evenly, count: int = 4, **train: Any) -> Any:
    """The state after some steps, and their losses."""
    learner = learner_of(communicator, model, **train)
    outcomes = steps(learner, cut(communicator.rank, communicator.size), count)
    return state(learner), [outcome.loss.item() for outcome in outcomes]


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor], names: Sequence[str] | None = None) -> float:
    """Between two states, over the tensors with some names."""
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in names or one)
