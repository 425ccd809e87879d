"""Every model of the zoo, as small as it gets, and samples for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dltrain.api.model import Model
from dltrain_trainer.models.shapes import Shape
from dltrain_trainer.models.zoo import build

OUTPUTS = 3
IMAGE, ROW, SEQUENCE = (2, 12, 10), (7,), (6, 5)
SMALL = {"resnet": {"width": 16}}


def model_of(name: str, **options: Any) -> Model:
    """A job's model, by the names of its options in YAML."""
    return Model.model_validate({"name": name, **options})


CASES: dict[str, tuple[Model, Shape]] = {
    "linear": (model_of("linear"), ROW),
    "mlp": (model_of("mlp"), ROW),
    "cnn": (model_of("cnn"), IMAGE),
    "lstm": (model_of("lstm", lstm={"hidden": 8}), SEQUENCE),
    **{
        name: (model_of(name, **SMALL), IMAGE)
        for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    },
    "linear of images": (model_of("linear"), IMAGE),
    "deep mlp": (model_of("mlp", mlp={"widths": [9, 8, 7]}, activation="gelu", dropout=0.2), SEQUENCE),
    "wide cnn": (
        model_of(
            "cnn",
            cnn={
                "blocks": [
                    {"channels": 4, "convolutions": 2, "normalize": True},
                    {"channels": 6, "kernel": 5, "pool": "average"},
                    {"channels": 5, "kernel": 1, "pool": "none"},
                ],
                "flatten": "mean",
                "widths": [],
            },
            activation="silu",
            dropout=0.3,
        ),
        IMAGE,
    ),
    "deep lstm": (
        model_of("lstm", lstm={"hidden": 4, "layers": 3, "bidirectional": True, "pooling": "attention"}, dropout=0.2),
        SEQUENCE,
    ),
    "lstm of images": (model_of("lstm", lstm={"hidden": 8, "pooling": "mean"}), IMAGE),
    "resnet with everything": (
        model_of(
            "resnet18",
            resnet={"width": 4, "stem": "imagenet", "stochasticDepth": 0.2, "zeroGamma": False},
            activation="leakyRelu",
            dropout=0.2,
        ),
        (2, 34, 33),
    ),
    "timm": (model_of("timm/test_resnet"), (3, 32, 32)),
    "timm with options": (model_of("timm/test_vit", options={"img_size": 32, "depth": 1}), (1, 32, 32)),
    "a function": (model_of("tests.trainer.zoo.functions:small", options={"width": 5}), ROW),
}


def build_case(case: str, seed: int = 0) -> nn.Module:
    """A model of the cases."""
    model, shape = CASES[case]
    return build(model, shape, OUTPUTS, seed)


def samples(case: str, count: int = 4) -> Tensor:
    """Some samples for it."""
    return torch.rand(count, *CASES[case][1], generator=torch.Generator().manual_seed(0))
