"""Graphs of the zoo's models with a preprocessing, each exported once."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.missing import Fill
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.export.onnx import Exported, export_onnx
from tests.trainer.zoo.cases import CASES, build_case


@cache
def trained(case: str) -> nn.Module:
    """A model of the zoo's cases whose running statistics are those of some batches."""
    model, generator = build_case(case, seed=1).train(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, *CASES[case][1], generator=generator))
    return model.eval()


def preprocessing_of(case: str) -> Preprocessing:
    """Bytes to about -1..1, or missing values to numbers."""
    shape = CASES[case][1]
    if len(shape) == 3:
        return Preprocessing([Affine([100.0], [1 / 50], 2)])
    return Preprocessing([Fill([0.5] * shape[-1]), Affine([0.25], [2.0], 0)])


def raw_of(case: str, count: int = 8) -> Tensor:
    """Raw samples of a case: bytes, or floats some of which are missing."""
    generator = torch.Generator().manual_seed(2)
    shape = (count, *CASES[case][1])
    if len(shape) == 4:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    values = torch.randn(shape, generator=generator)
    return values.masked_fill(torch.rand(shape, generator=generator) < 0.1, torch.nan)


@cache
def exported(case: str) -> Exported:
    """The graph of a case."""
    return export_onnx(trained(case), preprocessing_of(case), raw_of(case))
