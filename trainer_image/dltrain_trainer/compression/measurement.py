"""The row of a step: what a compressed model costs, and how often it answers as the trained one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from dltrain.api.data import Task
from dltrain.api.status import CompressionRow
from dltrain_trainer.compression.hardware import processor
from dltrain_trainer.compression.latency import compare_speed, latencies
from dltrain_trainer.compression.memory import peak_memory
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.ranks import Ranks
from dltrain_trainer.models.shapes import Shape
from dltrain_trainer.models.summary import summarize


@dataclass(frozen=True, slots=True)
class Candidate:
    """A compressed model, ready to be measured."""

    step: str
    """As the row names it."""
    model: nn.Module
    """In PyTorch: what a quantised graph was made of."""
    shape: Shape
    """Of a prepared sample."""
    graph: onnx.ModelProto
    """With its preprocessing."""
    metrics: dict[str, float]
    """Of the validation split, of the graph's own answers where it is quantised."""
    agreement: float
    """With the trained model, over the validation split."""


def measured(candidate: Candidate, original: onnx.ModelProto, raw: NDArray[Any], budget: float = 1.0) -> CompressionRow:
    """Measure a candidate beside the trained model; the original itself against itself for its own row.

    Args:
        candidate: what is measured.
        original: the trained model in fp32, with its preprocessing.
        raw: some raw samples.
        budget: seconds for each batch size and number of threads.

    Returns:
        A row whose outcome is yet to be judged: passed, or original.
    """
    content, where = candidate.graph.SerializeToString(), processor()
    timings, speedup = compare_speed(original, content, raw, budget)
    return CompressionRow(
        step=candidate.step,
        outcome="original" if candidate.step == "original" else "passed",
        metrics=candidate.metrics,
        agreement=candidate.agreement,
        parameters=nonzero(candidate.model),
        macs=macs_of(candidate.model, candidate.shape),
        file_bytes=len(content),
        latencies=latencies(timings),
        speedup=speedup,
        peak_memory_bytes=peak_memory(content, raw),
        processor=f"{where.name}, {where.instructions}, {where.cores} cores",
    )


def macs_of(model: nn.Module, shape: Shape) -> int | None:
    """The multiply-accumulates of a sample; None where a model cannot be run without computing anything."""
    try:
        return summarize(model, shape).macs
    except Exception:  # noqa: BLE001 - whatever a forward pass of the user's own raises: on tensors without content, say
        return None


def nonzero(model: nn.Module) -> int:
    """How many parameters are not 0."""
    return sum(int(torch.count_nonzero(parameter)) for parameter in model.parameters())


def agreement(original: Predictions, candidate: Predictions, spread: NDArray[Any], ranks: Ranks) -> float:
    """The share of samples that two models answer alike.

    Args:
        original: this rank's share.
        candidate: of the same samples.
        spread: the standard deviation of what is right, for numbers; shape (K,).
        ranks: those that share the samples.
    """
    same = int(np.count_nonzero(alike(original.outputs, candidate.outputs, original.task, spread)))
    agreed, samples = ranks.sum_integers([same, len(original)])
    return agreed / samples


def alike(original: NDArray[Any], candidate: NDArray[Any], task: Task, spread: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether two models answer a sample alike, for each of some samples.

    Args:
        original: probabilities or values, shape (n, K).
        candidate: of the same samples.
        task: classes are compared by the most likely, labels by whether they are likelier than not, numbers within a
            hundredth of the spread.
        spread: of what is right, shape (K,).
    """
    if task == "classification":
        return np.asarray(original.argmax(1) == candidate.argmax(1))
    if task == "multilabel":
        return np.asarray(((original > 0.5) == (candidate > 0.5)).all(axis=1))
    return np.asarray((np.abs(original - candidate) <= spread / 100).all(axis=1))
