"""A module as an ONNX graph of its own, for batches of any size."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dltrain_trainer.errors import FinalError

OPSET: Final = 21
"""Of ONNX 1.16: the first with 4-bit integers and blocks of them."""
INPUT: Final = "input"
OUTPUT: Final = "output"
BATCH: Final = "batch"
"""The name of the axis of samples, which may have any length."""
HEIGHT: Final = "height"
WIDTH: Final = "width"
"""The names of the axes of images that may have any length, where they are scaled at the start."""
PROVIDERS: Final = ["CPUExecutionProvider"]


class ExportError(FinalError):
    """A model cannot be written in a format, or would predict otherwise there; the message is one sentence."""


def axes(*, any_size: bool) -> dict[int, torch.export.Dim]:
    """The axes of samples that may have any length, for torch.export; those of images too, where `any_size` says so."""
    names = {0: BATCH, 2: HEIGHT, 3: WIDTH} if any_size else {0: BATCH}
    return {axis: torch.export.Dim(name) for axis, name in names.items()}


def several(samples: Tensor, least: int) -> Tensor:
    """Samples, repeated where they are fewer: what is exported with one of them could take no batch of another size."""
    rounds = -(-least // len(samples))
    return samples if rounds <= 1 else torch.cat([samples] * rounds)


def graph_of(module: nn.Module, samples: Tensor, *, any_size: bool = False) -> onnx.ModelProto:
    """Export a module, in evaluation mode.

    Args:
        module: maps a batch to one tensor; left as it was.
        samples: a batch.
        any_size: whether they are images that may have any height and width; these have more than one pixel in each.

    Returns:
        A graph with one input and one output, whose first axis may have any length, as those of `any_size`.

    Raises:
        ExportError: it holds an operation that ONNX lacks.
    """
    clone = copy.deepcopy(module).cpu().eval()
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")  # torch's own, about its own insides
            program = torch.onnx.export(
                clone,
                (several(samples[:2], 2).cpu().clone(),),
                dynamo=True,
                dynamic_shapes=(axes(any_size=any_size),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        raise ExportError(" ".join(str(error).split())[-300:]) from error
    assert program is not None
    return program.model_proto


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's exporter from logging its own progress for a while."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def session(model: onnx.ModelProto | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a graph in ONNX Runtime, on the CPU.

    Args:
        model: the graph, or its bytes.
        threads: how many work on one batch; 0 for as many as there are cores.

    Raises:
        ExportError: ONNX Runtime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(content, options, providers=PROVIDERS)
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot run it: {' '.join(str(error).split())[:300]}") from error


def run(runtime: onnxruntime.InferenceSession, batch: NDArray[Any]) -> NDArray[np.float32]:
    """What a graph makes of a batch."""
    return np.asarray(runtime.run(None, {INPUT: batch})[0])
