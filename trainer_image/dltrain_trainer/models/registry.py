"""The registry of models: a name to the function that builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from dltrain_trainer.models.cnn import cnn
from dltrain_trainer.models.resnet import resnet18

Shape = tuple[int, int, int]
Builder = Callable[[Shape, int], nn.Module]
"""(channels, height, width) of a sample and the number of classes -> the model; it returns logits."""

MODELS: Final[dict[str, Builder]] = {
    "cnn": cnn,
    "resnet18": resnet18,
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """All that is needed to build a model, but for its weights."""

    name: str
    shape: Shape
    classes: int

    def to_dict(self) -> dict[str, Any]:
        """The architecture as plain JSON values."""
        return {"name": self.name, "inputShape": list(self.shape), "classes": self.classes}


def build_model(architecture: Architecture, seed: int = 0) -> nn.Module:
    """Build a model with initial weights that depend on the seed alone.

    Its weights are channels-last, in which convolutions are faster; so training, evaluation and a model read back all
    have one layout, and round alike.

    Raises:
        ValueError: the samples are too small for it.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[architecture.name](architecture.shape, architecture.classes)
    return model.to(memory_format=torch.channels_last)
