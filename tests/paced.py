"""A CNN whose steps take a while: half-way through a training is half-way on the fastest machine, too.

It is a model of the user's own: `paced:cnn` where tests put this file among a job's modules, `tests.paced:cnn` for
processes that find the tests.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from torch import nn

from dltrain.api.model import Model
from dltrain_trainer.models.zoo import build

MODEL: Final[dict[str, Any]] = {"name": "paced:cnn"}
"""The model as a job names it."""
LOCAL_MODEL: Final[dict[str, Any]] = {"name": "tests.paced:cnn"}
"""The same for processes whose working directory is ROOT, or that have it among the folders of modules."""
HURRY: Final = Path("/tmp/hurry")
"""Where this file is, steps take no longer than they must."""
ROOT: Final = Path(__file__).parents[1]
TEMPLATE: Final[dict[str, Any]] = {
    "spec": {
        "containers": [
            {
                "name": "worker",
                "env": [{"name": "PYTHONPATH", "value": "/paced"}],
                "volumeMounts": [{"name": "paced", "mountPath": "/paced", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "paced", "configMap": {"name": "paced"}}],
    }
}
"""Pods that find it."""


def at_pace(model: dict[str, Any], milliseconds: float) -> dict[str, Any]:
    """MODEL or LOCAL_MODEL, each of whose steps waits so long."""
    return {**model, "options": {"milliseconds": milliseconds}}


def config_map() -> dict[str, Any]:
    """What such pods mount."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "paced"}, "data": {"paced.py": source()}}


def source() -> str:
    """This file."""
    return Path(__file__).read_text()


def cnn(shape: tuple[int, ...], outputs: int, milliseconds: float = 20) -> nn.Module:
    """The zoo's CNN; each of its forward passes in training takes so much longer."""

    def wait(module: nn.Module, _: Any) -> None:
        if module.training and not HURRY.exists():
            time.sleep(milliseconds / 1000)

    model = build(Model(name="cnn"), shape, outputs, seed=0)
    model.register_forward_pre_hook(wait)
    return model
