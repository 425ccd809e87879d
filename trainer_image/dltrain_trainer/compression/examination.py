"""Measures what the steps make: answers on all ranks, sizes and speeds on the first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor, nn

from dltrain.api.evaluate import Evaluate
from dltrain.api.status import CompressionRow
from dltrain_trainer.compression.measurement import Candidate, agreement, measured
from dltrain_trainer.compression.runtime import GraphModel
from dltrain_trainer.compression.store import Product
from dltrain_trainer.compression.together import led
from dltrain_trainer.data.samples import Dataset, Split
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.evaluation.measure import measure
from dltrain_trainer.evaluation.predict import Predictions, predict
from dltrain_trainer.export.graph import graph_of
from dltrain_trainer.export.onnx import join, preprocessing_graph

RAW_SAMPLES = 32
"""So many are timed."""
BUDGET_SECONDS = 0.6
"""How long each batch size and number of threads is timed, unless a model is too slow for that."""

Answers = tuple[dict[str, float], float]
"""The metrics of a graph, and its agreement with the trained model."""


@dataclass
class Examination:
    """Measures one product after the other, the trained model first."""

    dataset: Dataset
    preprocessing: Preprocessing
    prepare: nn.Module
    evaluate: Evaluate
    """The metrics."""
    prepared: Tensor
    """Some prepared samples."""
    ranks: Communicator
    _trained: Predictions | None = None
    """This rank's share of what the trained model says of the validation split."""
    _before: onnx.ModelProto | None = None
    _original: onnx.ModelProto | None = None
    _known: dict[str, Answers] = field(default_factory=dict)

    @property
    def split(self) -> Split:
        """What is answered."""
        assert self.dataset.validation is not None, "the data stage has seen to it"
        return self.dataset.validation

    def row(self, label: str, product: Product) -> CompressionRow:
        """Measure a product; the trained model, as `original`, before any other.

        Raises:
            CompressionError: on every rank: it cannot be brought into ONNX Runtime, or measured there.
            MetricError: on every rank: it does not answer with finite numbers.
        """

        def lead(ask: Callable[[bytes], Answers]) -> dict[str, Any]:
            graph = product.graph or self.graph(product).SerializeToString()
            return self._measured(label, product, graph, self.asked(graph, ask))

        return CompressionRow.model_validate(led(self.ranks, lead, self.answers))

    def graph(self, product: Product) -> onnx.ModelProto:
        """A model that is not quantised, for prepared samples, in ONNX.

        Raises:
            ExportError: it holds an operation that ONNX lacks.
        """
        return graph_of(product.subject.model, self.prepared)

    def whole(self, graph: bytes) -> onnx.ModelProto:
        """The graph behind its preprocessing: it takes raw samples.

        Raises:
            ExportError: a step of the preprocessing cannot be exported.
        """
        if self._before is None:
            self._before = preprocessing_graph(self.preprocessing, self.split.inputs[:RAW_SAMPLES])
        return join(self._before, onnx.load_from_string(graph))

    def asked(self, graph: bytes, ask: Callable[[bytes], Answers]) -> Answers:
        """What every rank together says of a graph; on rank 0, which asks for the same graph once only."""
        key = hashlib.sha256(graph).hexdigest()
        if key not in self._known:
            self._known[key] = ask(graph)
        return self._known[key]

    def answers(self, graph: bytes) -> Answers:
        """The metrics of a graph on the validation split, and its agreement; all ranks together."""
        predictions = predict(
            GraphModel(graph).to(self.prepared.device),
            self.split.inputs,
            self.split.targets,
            self.prepare,
            task=self.dataset.task,
            outputs=self.dataset.outputs,
            ranks=self.ranks,
        )
        if self._trained is None:
            self._trained = predictions
        spread = self.split.targets.double().reshape(len(self.split), -1).std(0, correction=0).numpy()
        same = agreement(self._trained, predictions, np.maximum(spread, 1e-12), self.ranks)
        return dict(measure(predictions, self.evaluate, self.ranks).metrics), same

    def _measured(self, label: str, product: Product, graph: bytes, answers: Answers) -> dict[str, Any]:
        metrics, same = answers
        whole = self.whole(graph)
        self._original = self._original or whole
        candidate = Candidate(label, product.subject.model, self.prepared.shape[1:], whole, metrics, same)
        return measured(candidate, self._original, raw_of(self.split), BUDGET_SECONDS).to_dict()


def raw_of(split: Split) -> NDArray[Any]:
    """The raw samples that are timed."""
    return np.ascontiguousarray(split.inputs[:RAW_SAMPLES].cpu().numpy())
