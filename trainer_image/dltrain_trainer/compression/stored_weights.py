"""Weights in fewer bits, arithmetic in fp32: a graph unpacks them once, when it is loaded.

Rows are the outputs of a layer.  8 bits go with a scale for each row, 4 bits with one for every 32 weights of a row
(Dettmers and Zettlemoyer 2023, "The case for 4-bit precision", section 4); 16 bits need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import onnx
from ml_dtypes import bfloat16
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dltrain.api.compress import Quantize
from dltrain_trainer.compression.problems import CompressionError

Floats = NDArray[np.float32]
BLOCK: Final = 32
"""Weights that share a scale, where there are 4 bits."""
SMALLEST: Final = 512
"""Tensors of fewer numbers stay as they are: their scales and nodes would take more."""
LEVELS: Final = {8: 127, 4: 7}
HALVES: Final[Mapping[str, tuple[int, Any]]] = {
    "fp16": (TensorProto.FLOAT16, np.float16),
    "bf16": (TensorProto.BFLOAT16, bfloat16),
}


def store_weights(graph: onnx.ModelProto, spec: Quantize) -> onnx.ModelProto:
    """A graph whose weights of linear, convolution and lstm layers take fewer bits.

    Args:
        graph: takes prepared samples; stays as it is.
        spec: the job's settings.

    Raises:
        CompressionError: it has no weights that are worth it, or one that 16 bits cannot hold.
    """
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    initializers = {one.name: one for one in result.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for name, leading in weights_of(result.graph.node):
        tensor = initializers.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        values = np.array(numpy_helper.to_array(tensor))
        stored, unpacking = PACKERS[spec.method](values, name, leading, spec)
        result.graph.initializer.remove(tensor)
        result.graph.initializer.extend(stored)
        nodes += unpacking
        initializers.pop(name)
    if not nodes:
        raise CompressionError("it has no weights that are worth it: every layer is tiny")
    nodes += list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def weights_of(nodes: Iterable[onnx.NodeProto]) -> Iterable[tuple[str, int]]:
    """The names of weights, and how many of their first axes are the outputs (0: the last axis is)."""
    for node in nodes:
        if node.op_type == "Gemm":
            yield node.input[1], int(any(one.name == "transB" and one.i for one in node.attribute))
        elif node.op_type in {"Conv", "MatMul"}:
            yield node.input[1], int(node.op_type == "Conv")
        elif node.op_type == "LSTM":  # shape (directions, gates and units, inputs)
            yield node.input[1], 2
            yield node.input[2], 2


def pack_integers(
    values: Floats,
    name: str,
    leading: int,
    spec: Quantize,
) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """Integers with their scales, and the nodes that make floats of them.

    Not DequantizeLinear: ONNX Runtime would do that anew for every batch, for the sake of kernels that it lacks here.

    Args:
        values: any shape of at least one axis.
        name: of the tensor in the graph.
        leading: how many of the first axes are the outputs; 0 where the last one is.
        spec: the job's settings.
    """
    ordered = values if leading else np.moveaxis(values, -1, 0)
    matrix = ordered.reshape(int(np.prod(ordered.shape[: leading or 1])), -1)
    integers, scales = rounded(matrix, BLOCK if spec.width == 4 else matrix.shape[1], LEVELS[spec.width])
    content: dict[str, list[int]] = {"shape": list(ordered.shape), "start": [0], "end": [matrix.shape[1]], "axis": [1]}
    padded = [len(matrix), int(np.prod(integers.shape[1:]))]
    initializers = [
        packed(f"{name}/integers", integers, spec.width),
        numpy_helper.from_array(scales, f"{name}/scales"),
        *(constant(f"{name}/{key}", value) for key, value in {**content, "padded": padded}.items()),
    ]
    last = name if leading else f"{name}/rows"
    parts = [f"{name}/{key}" for key in ("matrix", "start", "end", "axis")]
    nodes = [
        helper.make_node("Cast", [f"{name}/integers"], [f"{name}/cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}/cast", f"{name}/scales"], [f"{name}/scaled"]),
        helper.make_node("Reshape", [f"{name}/scaled", f"{name}/padded"], [f"{name}/matrix"]),
        helper.make_node("Slice", parts, [f"{name}/cut"]),
        helper.make_node("Reshape", [f"{name}/cut", f"{name}/shape"], [last]),
    ]
    if not leading:
        nodes.append(helper.make_node("Transpose", [last], [name], perm=[*range(1, values.ndim), 0]))
    return initializers, nodes


def packed(name: str, integers: NDArray[np.int8], bits: int) -> TensorProto:
    """Integers as a constant of a graph, two of 4 bits a byte."""
    if bits == 4:
        return helper.make_tensor(name, TensorProto.INT4, integers.shape, integers.ravel())
    return numpy_helper.from_array(integers, name)


def constant(name: str, values: list[int]) -> TensorProto:
    """Whole numbers as a constant of a graph."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def rounded(matrix: Floats, block: int, levels: int) -> tuple[NDArray[np.int8], Floats]:
    """The nearest integers, and the scale of each block of a row.

    Args:
        matrix: shape (rows, columns).
        block: columns that share a scale; zeros fill the last block up.
        levels: the largest integer.

    Returns:
        Shapes (rows, blocks, block) and (rows, blocks, 1).
    """
    whole = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % block)))
    blocks = whole.reshape(len(matrix), -1, block)
    peaks = np.abs(blocks).max(axis=2, keepdims=True)
    scales = np.where(peaks > 0, peaks / levels, 1).astype(np.float32)
    return np.clip(np.rint(blocks / scales), -levels, levels).astype(np.int8), scales


def pack_halves(
    values: Floats,
    name: str,
    leading: int,  # noqa: ARG001 - the shape of a packer
    spec: Quantize,
) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """16-bit floats, and the node that makes 32-bit ones of them.

    Raises:
        CompressionError: a weight is too large.
    """
    kind, dtype = HALVES[spec.method]
    with np.errstate(over="ignore"):  # seen below
        half = values.astype(dtype)
    if not np.isfinite(half.astype(np.float32)).all():
        raise CompressionError(f"a weight is larger than {spec.method} can hold; use bf16")
    stored = helper.make_tensor(f"{name}/half", kind, half.shape, half.tobytes(), raw=True)
    return [stored], [helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT)]


PACKERS: Final[Mapping[str, Callable[..., tuple[list[TensorProto], list[onnx.NodeProto]]]]] = {
    "weightOnly": pack_integers,
    "fp16": pack_halves,
    "bf16": pack_halves,
}
