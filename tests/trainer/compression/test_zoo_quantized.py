"""Every family of the zoo through every way to quantise: it answers nearly as before, or is refused with a reason."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
import torch

from dltrain.api.compress import Quantize
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.quantization import quantize
from dltrain_trainer.export.graph import graph_of, run, session
from tests.trainer.onnx.graphs import trained
from tests.trainer.zoo.cases import CASES, samples

DEEP = {"resnet34", "resnet50", "resnet101", "resnet152"}
METHODS: dict[str, tuple[Quantize, float]] = {
    "static": (Quantize(max_float_layers=0), 0.5),
    "static, entropy, one scale a tensor": (
        Quantize(calibration="entropy", per_channel=False, max_float_layers=0),
        0.6,
    ),
    "dynamic": (Quantize(method="dynamic"), 0.15),
    "8 bits": (Quantize(method="weightOnly"), 0.05),
    "4 bits": (Quantize(method="weightOnly", bits=4), 0.7),
    "fp16": (Quantize(method="fp16"), 0.01),
    "bf16": (Quantize(method="bf16"), 0.05),
}
"""The settings, and the largest difference of an output, in units of the largest output."""
TINY = {"linear", "a function", "deep mlp", "lstm", "deep lstm"}
"""So few weights that fewer bits would save nothing."""
HALVES = {"8 bits", "4 bits", "fp16", "bf16"}


@cache
def graph(case: str) -> onnx.ModelProto:
    return graph_of(trained(case), samples(case, 64))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", [case for case in CASES if case not in DEEP])
def test_a_quantised_model_answers_nearly_as_before_or_is_refused_with_a_reason(case: str, method: str) -> None:
    spec, tolerance = METHODS[method]
    prepared = samples(case, 64).numpy()
    wanted = run(session(graph(case)), prepared)
    with torch.no_grad():
        assert np.abs(trained(case)(samples(case, 64)).numpy() - wanted).max() < 1e-3 * max(1, np.abs(wanted).max())
    if method in HALVES and case in TINY:
        with pytest.raises(CompressionError, match="it has no weights that are worth it"):
            quantize(graph(case), prepared, spec, lambda _: True)
        return
    found = quantize(graph(case), prepared, spec, lambda _: True).graph
    difference = np.abs(run(session(found), prepared) - wanted).max()
    assert 0 < difference <= tolerance * np.abs(wanted).max()
