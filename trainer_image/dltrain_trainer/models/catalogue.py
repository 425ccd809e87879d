"""Every model of the zoo with a name of its own, and what it costs for samples of a shape."""

from __future__ import annotations

import torch

from dltrain.api.model import Model
from dltrain_trainer.models.shapes import ModelError, Shape
from dltrain_trainer.models.summary import Summary, summarize
from dltrain_trainer.models.zoo import NAMED, build


def catalogue(shape: Shape, outputs: int) -> dict[str, Summary | str]:
    """What each model costs with its default options; nothing is computed or allocated.

    Args:
        shape: of a sample.
        outputs: how many values it returns.

    Returns:
        By name: the costs, or why the samples do not fit.
    """
    return {name: entry(name, shape, outputs) for name in NAMED}


def entry(name: str, shape: Shape, outputs: int) -> Summary | str:
    """What one model costs, or why the samples do not fit."""
    try:
        with torch.device("meta"):
            return summarize(build(Model(name=name), shape, outputs), shape)
    except ModelError as error:
        return str(error)
