"""What metrics are called on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dltrain_trainer.report.scales import number

LABELS: Final = {
    "accuracy": "accuracy",
    "topK": "top-k accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "averagePrecision": "average precision",
    "rocAuc": "ROC-AUC",
    "calibrationError": "calibration error",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "r2": "R²",
    "support": "samples",
}
SHARES: Final = frozenset({"accuracy", "topK", "precision", "recall", "f1", "averagePrecision", "rocAuc"})
"""Metrics between 0 and 1, of which more is better."""


def text_of(name: str, value: float | None) -> str:
    """A metric's value in words; a dash where it has none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if name in SHARES else number(value)


def label_of(name: str, evaluation: Mapping[str, Any] | None = None) -> str:
    """A metric's name in words.

    Args:
        name: as in the job; other names stay as they are.
        evaluation: the content of evaluation.json, for the k of top-k.
    """
    if name == "topK" and evaluation and "k" in evaluation:
        return f"top-{evaluation['k']} accuracy"
    return LABELS.get(name, name)
