"""model.onnx: a model and its preprocessing in one graph, which takes raw samples.

The statistics of the preprocessing are constants of the graph, so whoever runs it needs nothing but ONNX Runtime. It
takes what the training has read: images of any height and width, where they are scaled at the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import compose
from torch import Tensor, nn

from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.data.transforms.resize import Scaled
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.export.exportable import enlarged, exportable, takes_any_size
from dltrain_trainer.export.graph import BATCH, INPUT, OUTPUT, ExportError, graph_of, run, session, several

TOLERANCE: Final = 1e-3
"""The largest difference of an output, in units of the largest output (at least 1), that rounding may explain."""
ROUNDED_TOLERANCE: Final = 0.05
"""The same after scaling to bytes, where one pixel in a thousand lies between two bytes and may become the other."""
SIZES: Final = (1, 3)
"""Batches of these sizes are compared: neither is that which was exported."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A graph that predicts as the model does."""

    content: bytes
    """The file."""
    opset: int
    max_difference: float
    """The largest absolute difference between its outputs and those of the model in memory, over the samples."""


def export_onnx(model: nn.Module, preprocessing: Preprocessing, raw: Tensor) -> Exported:
    """Export a model with its preprocessing, load the result in ONNX Runtime and compare.

    Args:
        model: maps prepared samples to logits or values.
        preprocessing: of raw samples.
        raw: raw samples: uint8 (n, C, H, W), or float32 (n, F) or (n, T, F).

    Raises:
        ExportError: a step or a layer cannot be exported, or the graph predicts otherwise.
    """
    before = preprocessing_graph(preprocessing, raw)
    with torch.no_grad():
        prepared = preprocessing.cpu()(raw[:2].cpu())
    try:
        after = graph_of(model, prepared)
    except ExportError as error:
        raise ExportError(f"spec.pipeline.export.formats: onnx cannot hold the model: {error}") from error
    joined = join(before, after)
    difference = compare(joined, model, preprocessing, several(raw, max(SIZES)))
    return Exported(joined.SerializeToString(), joined.opset_import[0].version, difference)


def export_quantized(graph: bytes, preprocessing: Preprocessing, raw: Tensor) -> bytes:
    """Put the preprocessing before a quantised graph, load the result in ONNX Runtime and compare with the two apart.

    Args:
        graph: takes prepared samples.
        preprocessing: of raw samples.
        raw: raw samples.

    Returns:
        The file, which takes raw samples.

    Raises:
        ExportError: a step of the preprocessing cannot be exported, or the graph answers otherwise behind it.
    """
    before = preprocessing_graph(preprocessing, raw)
    joined = join(before, onnx.load_from_string(graph))
    samples = raw.cpu().numpy()
    wanted = run(session(graph), run(session(before), samples))
    difference = float(np.abs(run(session(joined), samples) - wanted).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise ExportError(f"spec.pipeline.export.formats: the quantised graph answers otherwise by {difference:.3g}")
    return bytes(joined.SerializeToString())


def preprocessing_graph(preprocessing: Preprocessing, raw: Tensor) -> onnx.ModelProto:
    """The graph of a preprocessing.

    Raises:
        ExportError: a step cannot be exported; the message names it.
    """
    steps, any_size = exportable(preprocessing.whole.steps), takes_any_size(preprocessing)
    try:
        return graph_of(steps, enlarged(raw) if any_size else raw, any_size=any_size)
    except ExportError as error:
        name = culprit(preprocessing, raw)
        raise ExportError(
            f"spec.pipeline.data.transforms: onnx cannot hold the step {name}; remove it, or onnx from the formats "
            f"({error})"
        ) from error


@torch.no_grad()
def culprit(preprocessing: Preprocessing, raw: Tensor) -> str:
    """The name of the first step that cannot be exported by itself; of all where each can."""
    batch = raw[:2].cpu().to(torch.float32, copy=True)
    for step in preprocessing.cpu().whole.steps:
        try:
            graph_of(exportable([step]), batch)
        except ExportError:
            return str(step.name)
        batch = step(batch.clone())
    return ", ".join(step.name for step in preprocessing.listed)


def join(before: onnx.ModelProto, after: onnx.ModelProto) -> onnx.ModelProto:
    """One graph of two, the second of which takes what the first gives."""
    first, second = onnx.ModelProto(), onnx.ModelProto()
    first.CopyFrom(before)
    second.CopyFrom(after)
    second.ir_version = first.ir_version = max(first.ir_version, second.ir_version)
    for graph in (first, second):
        del graph.metadata_props[:]
    joined = compose.merge_models(first, second, io_map=[(OUTPUT, INPUT)], prefix1="preprocessing/", prefix2="model/")
    versions = {entry.domain: entry.version for entry in joined.opset_import}  # each twice: others refuse that
    del joined.opset_import[:]
    joined.opset_import.extend(onnx.helper.make_opsetid(*each) for each in versions.items())
    rename(joined.graph, f"preprocessing/{INPUT}", INPUT)
    rename(joined.graph, f"model/{OUTPUT}", OUTPUT)
    for value in (*joined.graph.input, *joined.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    joined.producer_name = "dltrain"
    onnx.checker.check_model(joined)
    return joined


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a value of a graph another name, in place."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name


def compare(graph: onnx.ModelProto, model: nn.Module, preprocessing: Preprocessing, raw: Tensor) -> float:
    """The largest absolute difference between what a graph and the model in memory say of raw samples.

    Images that may have any size are compared in another one, too: these samples have that which they are scaled to.

    Raises:
        ExportError: it is more than rounding.
    """
    runtime, differences = session(graph), []
    tolerance = ROUNDED_TOLERANCE if any(is_rounded(step) for step in preprocessing.listed) else TOLERANCE
    for samples in (raw, enlarged(raw)) if takes_any_size(preprocessing) else (raw,):
        wanted, given = answers(model, preprocessing, samples), samples.cpu().numpy()
        found = [run(runtime, given), *(run(runtime, given[:size]) for size in SIZES)]
        difference = max(float(np.abs(each - wanted[: len(each)]).max()) for each in found)
        if not difference <= tolerance * max(1.0, float(np.abs(wanted).max())):
            raise ExportError(
                f"spec.pipeline.export.formats: the onnx graph predicts otherwise than the model, by {difference:.3g}"
            )
        differences.append(difference)
    return max(differences)


def answers(model: nn.Module, preprocessing: Preprocessing, raw: Tensor) -> NDArray[np.float32]:
    """What the model in memory says of raw samples, on its device and in evaluation mode; its mode stays as it is."""
    device, mode = next(model.parameters()).device, model.training
    model.eval()
    with torch.no_grad():
        outputs = model(preprocessing.to(device)(raw.to(device))).float().cpu().numpy()
    model.train(mode)
    return np.asarray(outputs)


def is_rounded(step: Step) -> bool:
    """Whether a step scales bytes to bytes."""
    return isinstance(step, Scaled) and step.rounded
