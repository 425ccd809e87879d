"""Predictions to measure, of every task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dltrain.api.data import Task
from dltrain_trainer.evaluation.predict import Predictions


def of_classes(
    samples: int = 300, classes: int = 5, *, missing: tuple[int, ...] = (), ties: bool = False, seed: int = 0
) -> Predictions:
    """A model of some skill; classes may be missing from the targets, and samples and classes tie."""
    generator = np.random.default_rng(seed)
    there = [one for one in range(classes) if one not in missing]
    targets = generator.choice(there, samples)
    logits = generator.normal(size=(samples, classes)) + 1.5 * np.eye(classes)[targets]
    if ties:
        logits[::2, -1] = logits[::2, 0]
        logits = logits[generator.integers(0, samples // 4, samples)]
    return Predictions("classification", logits, targets)


def of_labels(samples: int = 300, labels: int = 4, seed: int = 0) -> Predictions:
    """Labels, each by itself."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((samples, labels)) < 0.4).astype(float)
    return Predictions("multilabel", generator.normal(size=targets.shape) + targets, targets)


def of_numbers(samples: int = 300, columns: int = 3, seed: int = 0) -> Predictions:
    """Numbers far from zero, of different spread."""
    generator = np.random.default_rng(seed)
    targets = generator.normal(1e4, np.geomspace(0.1, 100, columns), (samples, columns)).astype(np.float32)
    values = targets + generator.normal(size=targets.shape).astype(np.float32)
    return Predictions("regression", values.astype(float), targets.astype(float))


def of_task(task: Task, samples: int = 300) -> Predictions:
    """Predictions of a task."""
    makers: dict[Task, Callable[[int], Predictions]]
    makers = {"classification": of_classes, "multilabel": of_labels, "regression": of_numbers}
    return makers[task](samples)
