"""Every model of the zoo with a name of its own, and what it costs for samples of a shape.

`python -m dltrain_trainer.models.catalogue OUTPUTS SHAPE...` prints it as JSON; `dltrain models` runs that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

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


def to_dict(name: str, found: Summary | str) -> dict[str, Any]:
    """An entry as plain JSON values."""
    if isinstance(found, str):
        return {"name": name, "problem": found}
    return {
        "name": name,
        "parameters": found.parameters,
        "macs": found.macs,
        "parameterBytes": found.parameter_bytes,
        "activationBytes": found.activation_bytes,
    }


def main(arguments: Sequence[str]) -> None:
    """Print the catalogue for a number of outputs and the shape of a sample."""
    outputs, *shape = map(int, arguments)
    found = catalogue(tuple(shape), outputs)
    sys.stdout.write(json.dumps([to_dict(name, entry) for name, entry in found.items()]))


if __name__ == "__main__":
    main(sys.argv[1:])
