"""What the trainer's models cost, asked of the trainer in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dltrain.errors import MissingSoftwareError
from dltrain.software import require

NEEDED: Final = ("dltrain_trainer", "torch")
CATALOGUE: Final = "dltrain_trainer.models.catalogue"
"""The trainer's program that prints what its models cost."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one model costs for samples of a shape, or why they do not fit it."""

    name: str
    parameters: int = 0
    """How many numbers it learns."""
    macs: int = 0
    """Multiply-accumulates for one sample, forward."""
    parameter_bytes: int = 0
    """The memory of its parameters and buffers."""
    activation_bytes: int = 0
    """The memory that training keeps for one sample between forward and backward."""
    problem: str = ""
    """Why samples of this shape do not fit; empty where they do."""

    def to_dict(self) -> dict[str, Any]:
        """The costs, or the problem, as plain JSON values."""
        if self.problem:
            return {"name": self.name, "problem": self.problem}
        return {
            "name": self.name,
            "parameters": self.parameters,
            "macs": self.macs,
            "parameterBytes": self.parameter_bytes,
            "activationBytes": self.activation_bytes,
        }


def model_costs(shape: Sequence[int], outputs: int) -> list[ModelCost]:
    """What each model of the zoo costs with its default options.

    Args:
        shape: of a sample: channels, height, width; or steps, features; or features.
        outputs: how many values the model returns.

    Raises:
        MissingSoftwareError: the trainer is not installed here, or does not work.
    """
    require("the list of models", *NEEDED)
    command = [sys.executable, "-m", CATALOGUE, str(outputs), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = next(reversed(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
        raise MissingSoftwareError(f"the trainer does not work here: {last}; `make install` installs it anew")
    return [
        ModelCost(
            name=found["name"],
            parameters=found.get("parameters", 0),
            macs=found.get("macs", 0),
            parameter_bytes=found.get("parameterBytes", 0),
            activation_bytes=found.get("activationBytes", 0),
            problem=found.get("problem", ""),
        )
        for found in json.loads(done.stdout)
    ]
