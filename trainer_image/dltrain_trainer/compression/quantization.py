"""The registry of quantisations: the method of the contract to the function that turns a graph into a smaller one."""

from __future__ import annotations

from typing import Any

import onnx
from numpy.typing import NDArray

from dltrain.api.compress import Quantize
from dltrain_trainer.compression.int8 import (
    Acceptable,
    Quantized,
    quantize_by_ranges,
    quantize_while_running,
)
from dltrain_trainer.compression.stored_weights import store_weights


def quantize(graph: onnx.ModelProto, samples: NDArray[Any], spec: Quantize, acceptable: Acceptable) -> Quantized:
    """Quantise the graph of a model, without its preprocessing, which stays in fp32.

    Args:
        graph: takes prepared samples; stays as it is.
        samples: prepared, float32, shape (n, ...): they calibrate.
        spec: the job's settings.
        acceptable: whether an attempt is good enough; of static, layers go back to fp32 while it is not.

    Raises:
        CompressionError: it cannot be done to this graph.
    """
    if spec.method == "static":
        return quantize_by_ranges(graph, samples[: spec.samples], spec, acceptable)
    if spec.method == "dynamic":
        return quantize_while_running(graph, spec)
    return Quantized(store_weights(graph, spec))
