"""All that is needed to build a model, but for its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from dltrain.api.model import Model
from dltrain_trainer.models.shapes import Shape
from dltrain_trainer.models.zoo import build


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model of the zoo, for samples of a shape."""

    model: Model
    """The job's choice and its options."""
    shape: Shape
    """Of what the model gets: one prepared sample."""
    outputs: int
    """Classes, labels or target columns."""
    channels_last: bool = True
    """How the weights of images lie in memory; results differ in rounding."""

    def build(self, seed: int = 0) -> nn.Module:
        """The model with first weights that depend on the seed alone.

        Raises:
            ModelError: the samples do not fit it, or it cannot be had.
        """
        return build(self.model, self.shape, self.outputs, seed, channels_last=self.channels_last)

    def to_dict(self) -> dict[str, Any]:
        """The blueprint as plain JSON values."""
        return {
            **self.model.to_dict(),
            "inputShape": list(self.shape),
            "outputs": self.outputs,
            "channelsLast": self.channels_last,
        }

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Blueprint:
        """What `to_dict` has stored.

        Raises:
            KeyError: something is missing.
            ValueError: the model is none of the zoo's, or has another option.
        """
        own = ("inputShape", "outputs", "channelsLast")
        model = Model.model_validate({name: value for name, value in stored.items() if name not in own})
        return Blueprint(model, tuple(stored["inputShape"]), stored["outputs"], stored["channelsLast"])
