"""The evaluation stage: the job's metrics on the test split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dltrain_trainer.evaluation import accuracy
from dltrain_trainer.run import Run


def measure_accuracy(run: Run) -> float:
    """The accuracy on the test split."""
    return accuracy(run.artifact.model, run.dataset.test, run.preprocessing, run.communicator)


METRICS: Final[dict[str, Callable[[Run], float]]] = {"accuracy": measure_accuracy}


def run(run: Run) -> None:
    """Evaluate."""
    for name in run.pipeline.evaluate.metrics:
        run.metrics[name] = METRICS[name](run)
    if run.is_first:
        run.progress.say(", ".join(f"{name} {value:.4f}" for name, value in run.metrics.items()) + " on the test split")
