"""The two kinds of an exported model, each as a function of raw samples: weights in PyTorch, graphs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dltrain_trainer.data.transforms.chain import Chain
from dltrain_trainer.data.transforms.preprocessing import Preprocessing, prepared
from dltrain_trainer.data.transforms.resize import Scaled
from dltrain_trainer.errors import CheckpointError, DataError
from dltrain_trainer.export.artifact import load

Model = Callable[[NDArray[Any]], Tensor]
"""Raw samples, shape (n, ...) -> logits or values, shape (n, K)."""


def from_folder(folder: Path) -> Model:
    """The model of model.safetensors, in PyTorch."""
    artifact = load(folder)
    return lambda samples: artifact.predict(torch.from_numpy(samples))


def from_graph(file: Path, preprocessing: Preprocessing) -> Model:
    """The model of an .onnx file, in ONNX Runtime.

    Args:
        file: the graph.
        preprocessing: that is in it.

    Raises:
        CheckpointError: the packages for it are missing.
    """
    try:
        from dltrain_trainer.export.graph import run, session  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CheckpointError(f"{file}: needs ONNX Runtime; pip install 'dltrain[onnx]'") from error
    runtime = session(file.read_bytes(), threads=0)
    shape = tuple(runtime.get_inputs()[0].shape[1:])  # an axis of any length has a name
    return lambda samples: torch.from_numpy(run(runtime, brought_to(shape, samples, preprocessing, file)))


def brought_to(
    shape: tuple[int | str, ...], samples: NDArray[Any], preprocessing: Preprocessing, file: Path
) -> NDArray[Any]:
    """Raw samples as a graph of an earlier version takes them: pictures of one size, where newer ones take any.

    Raises:
        DataError: something else than scaling comes first, which the graph does after it.
    """
    if all(isinstance(axis, str) or axis == length for axis, length in zip(shape, samples.shape[1:], strict=True)):
        return samples
    scaling = tuple(takewhile(lambda step: isinstance(step, Scaled), preprocessing.preparing))
    scaled = prepared(torch.from_numpy(samples), Chain(scaling)).numpy()
    if scaled.shape[1:] != shape:
        _, height, width = shape
        raise DataError(
            f"{file}: is of an earlier version, takes pictures of {width} x {height} pixels only, and denoises them "
            "after scaling instead of before; predict with the folder that it is in, or export it anew"
        )
    return scaled
