"""What a report is made of: plain values, whoever has measured them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dltrain.api.status import CompressionRow


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step."""

    epoch: int
    """From 1."""
    step: int
    """Steps done so far."""
    loss: float | None
    """The mean loss of the global batch; None where it was no finite number."""
    rate: float
    """The learning rate."""


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Where the time of a rank's training steps went, in seconds."""

    compute: float
    """Forward, backward and optimizer."""
    communication: float
    """Waiting for gradients of other ranks."""
    data: float
    """Waiting for batches."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.communication + self.data


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training split."""

    epoch: int
    """From 1."""
    samples_per_second: float
    """Of all ranks together."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metric -> value at its end, on the validation split."""
    time: TimeSplit | None = None
    """None where it was not measured."""


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report shows; what is empty is left out."""

    job: str
    """The job's name."""
    facts: tuple[tuple[str, str], ...]
    """What the job was, as (name, value), in order: model, data, ranks, duration ..."""
    steps: tuple[Step, ...] = ()
    """In order."""
    epochs: tuple[Epoch, ...] = ()
    """In order."""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """The content of evaluation.json."""
    curves: Mapping[str, Any] = field(default_factory=dict)
    """The content of curves.json."""
    compression: tuple[CompressionRow, ...] = ()
    """What each step of the compression has come to, the trained model's own row first."""
    classes: tuple[str, ...] = ()
    """The names of classes, labels or target columns, where they have any."""

    def name_of(self, output: int) -> str:
        """What a class, label or target column is called."""
        return self.classes[output] if output < len(self.classes) else f"{self.kind} {output}"

    @property
    def kind(self) -> str:
        """What an output of the model stands for."""
        return "column" if self.evaluation.get("task") == "regression" else "class"


def steps_of_log(lines: Iterable[str]) -> tuple[Step, ...]:
    """The steps that a metrics log holds, a JSON object a line."""
    records = map(json.loads, lines)
    return tuple(Step(record["epoch"], record["step"], record["loss"], record["lr"]) for record in records)
