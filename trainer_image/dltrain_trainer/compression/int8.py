"""int8 for ONNX Runtime: weights and activations of calibrated ranges, or weights and ranges found while it runs."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process

from dltrain.api.compress import DEFAULT_PERCENTILE, Quantize
from dltrain_trainer.compression.calibration import Batches
from dltrain_trainer.compression.hardware import processor
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.export.graph import run, session

METHODS: Final = {
    None: CalibrationMethod.MinMax,
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
WEIGHTED: Final = ("Conv", "Gemm", "MatMul")
"""The operations that may stay in fp32 one by one: those with weights."""
DYNAMIC: Final = ("MatMul", "LSTM")
QUANTIZED: Final = ("DynamicQuantize", "MatMulInteger")
"""How the names of operations begin that find ranges while they run."""
SENSITIVITY_SAMPLES: Final = 64

Acceptable = Callable[[onnx.ModelProto], bool]
"""Whether a quantised graph is good enough."""


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised graph."""

    graph: onnx.ModelProto
    float_layers: tuple[str, ...] = ()
    """The layers that stayed in fp32, because they hurt most."""


def quantize_by_ranges(
    graph: onnx.ModelProto, samples: NDArray[Any], spec: Quantize, acceptable: Acceptable
) -> Quantized:
    """int8 weights and activations (Jacob et al. 2018); layers that hurt most stay in fp32 while that is needed.

    Args:
        graph: takes prepared samples.
        samples: prepared, float32, shape (n, ...).
        spec: the job's settings.
        acceptable: asked of each attempt; the last one is returned where it always says no.

    Raises:
        CompressionError: nothing can be quantised, or ONNX Runtime cannot do it.
    """
    with TemporaryDirectory(prefix="dltrain-int8-") as folder, foreign_errors():
        attempt = Attempt(simplified(graph, Path(folder)), samples, spec, Path(folder))
        result = Quantized(attempt.quantized())
        if not spec.float_layers or acceptable(result.graph):
            return result
        order = attempt.by_sensitivity()
        for count in range(1, min(spec.float_layers, len(order) - 1) + 1):
            result = Quantized(attempt.quantized(leave=order[:count]), tuple(order[:count]))
            if acceptable(result.graph):
                break
        return result


def is_int8(graph: bytes) -> bool:
    """Whether a graph has calibrated int8 weights and activations."""
    nodes = onnx.load_from_string(graph).graph.node
    return any(node.op_type == "QuantizeLinear" for node in nodes)


class Attempt:
    """Quantises a graph again and again with the same ranges."""

    def __init__(self, graph: onnx.ModelProto, samples: NDArray[Any], spec: Quantize, folder: Path) -> None:
        self.graph, self.samples, self.spec, self.folder = graph, samples, spec, folder
        self.layers = [node.name for node in graph.graph.node if node.op_type in WEIGHTED]
        if not self.layers:
            raise CompressionError("it has no linear or convolution layer that int8 could speed up; use dynamic")

    def quantized(self, *, leave: Sequence[str] = (), only: Sequence[str] = ()) -> onnx.ModelProto:
        """The graph with every layer in int8 but some, or only some.

        Args:
            leave: names of layers that stay in fp32.
            only: names of the only layers in int8; none for all.
        """
        path = self.folder / "quantized.onnx"
        onnx.save(self.graph, self.folder / "float.onnx")
        quantize_static(
            str(self.folder / "float.onnx"),
            str(path),
            Batches(self.samples),
            per_channel=self.spec.by_channel,
            reduce_range=processor().saturates,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(only),
            nodes_to_exclude=list(leave),
            calibrate_method=METHODS[self.spec.calibration],
            calibration_cache_path=str(self.folder / "ranges.json"),
            extra_options={"CalibPercentile": self.spec.percentile or DEFAULT_PERCENTILE},
        )
        return onnx.load(path)

    def by_sensitivity(self) -> list[str]:
        """The layers, the one first that changes the outputs most when it alone is in int8."""
        some = self.samples[:SENSITIVITY_SAMPLES]
        wanted = run(session(self.graph), some)
        harm = {
            layer: float(np.square(run(session(self.quantized(only=[layer])), some) - wanted).mean())
            for layer in self.layers
        }
        return sorted(self.layers, key=lambda layer: -harm[layer])


def quantize_while_running(graph: onnx.ModelProto, spec: Quantize) -> Quantized:
    """int8 weights of linear and lstm layers; ranges of activations are found while it runs.

    Args:
        graph: takes prepared samples.
        spec: the job's settings.

    Raises:
        CompressionError: there is no such layer, or ONNX Runtime cannot do it.
    """
    with TemporaryDirectory(prefix="dltrain-int8-") as folder, foreign_errors():
        path, plain = Path(folder) / "quantized.onnx", ONNXModel(simplified(graph, Path(folder)))
        plain.replace_gemm_with_matmul()  # else the quantiser passes over them without a word
        quantize_dynamic(
            plain.model,
            str(path),
            op_types_to_quantize=list(DYNAMIC),
            per_channel=spec.by_channel,
            reduce_range=processor().saturates,
            weight_type=QuantType.QInt8,
        )
        result = onnx.load(path)
    if not any(node.op_type.startswith(QUANTIZED) for node in result.graph.node):
        raise CompressionError("it has no linear or lstm layer; use static")
    return Quantized(result)


def simplified(graph: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """A graph whose constants are worked out and whose shapes are known, as quantisation needs it."""
    original, path = folder / "original.onnx", folder / "simplified.onnx"
    onnx.save(graph, original)
    quant_pre_process(str(original), str(path), skip_symbolic_shape=True)
    result = onnx.load(path)
    for index, node in enumerate(result.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return result


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn errors of ONNX Runtime's quantiser into one that says so, and keep its advice off the log and the output.

    Raises:
        CompressionError: any other error happened inside the block.
    """
    level = logging.root.level
    logging.root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except CompressionError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise CompressionError(f"ONNX Runtime cannot quantise it: {text}") from error
    finally:
        logging.root.setLevel(level)
