"""Steps one after the other; neighbouring affine ones become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from dltrain_trainer.data.transforms.affine import Affine, fuse
from dltrain_trainer.data.transforms.color import Color
from dltrain_trainer.data.transforms.contrast import Stretch
from dltrain_trainer.data.transforms.denoise import Gaussian, Median
from dltrain_trainer.data.transforms.missing import Fill
from dltrain_trainer.data.transforms.one_hot import Hot
from dltrain_trainer.data.transforms.pca import Project
from dltrain_trainer.data.transforms.resize import Scaled
from dltrain_trainer.data.transforms.step import Step

STEPS: Final[dict[str, type[Step]]] = {
    step.name: step for step in (Affine, Color, Fill, Gaussian, Hot, Median, Project, Scaled, Stretch)
}
"""The registry of fitted steps, by the name that their stored form has."""


class Chain(nn.Module):
    """Applies steps to a batch."""

    def __init__(self, steps: Iterable[Step]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(fused(list(steps)))

    def forward(self, batch: Tensor) -> Tensor:
        """The batch after all steps, float32; the one given stays as it is."""
        result = batch.to(torch.float32, copy=True)
        for step in self.steps:
            result = step(result)
        return result


def fused(steps: Sequence[Step]) -> list[Step]:
    """The same steps, neighbouring affine ones worked out into one."""
    result: list[Step] = []
    for step in steps:
        together = fuse(result[-1], step) if result and isinstance(result[-1], Affine) else None
        if together is not None:
            result[-1] = together
        else:
            result.append(step)
    return result


def steps_of(stored: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Steps from their stored form.

    Raises:
        KeyError: a step is unknown.
        TypeError: a step lacks a number, or has one too many.
    """
    return [STEPS[each["step"]](**{key: value for key, value in each.items() if key != "step"}) for each in stored]
