"""Calibration: whether a model that is p sure is right in a share p of cases (Guo et al. 2017, arXiv:1706.04599)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.classes import answers
from dltrain_trainer.evaluation.exact import UNIT, exact_sum, quotient
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.ranks import Ranks

BINS: Final = 15
"""As in the paper's experiments."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Samples by how sure the model is of its answer: bin b is above b / BINS, and up to (b + 1) / BINS."""

    samples: tuple[int, ...]
    """Samples in each bin."""
    confidence: tuple[float | None, ...]
    """The mean probability of the answer; None for an empty bin."""
    accuracy: tuple[float | None, ...]
    """The share of right answers; None for an empty bin."""
    error: float
    """The expected calibration error: the mean distance of the two over all samples."""

    def to_dict(self) -> dict[str, Any]:
        """The bins as plain JSON values."""
        return {"samples": list(self.samples), "confidence": list(self.confidence), "accuracy": list(self.accuracy)}


def reliability(predictions: Predictions, ranks: Ranks) -> Reliability:
    """Bin the samples of all ranks by the probability of the model's answer."""
    confidence = predictions.outputs.max(1)
    right = answers(predictions) == predictions.targets
    bins = bins_of(confidence)
    sums = [exact_sum(confidence[bins == bin_]) for bin_ in range(BINS)]
    counts = [*count_in(bins), *count_in(bins[right]), *sums]
    total = ranks.sum_integers(counts)
    return reliability_of(total[:BINS], total[BINS : 2 * BINS], total[2 * BINS :])


def bins_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """In which bin each probability is, (N,)."""
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)


def count_in(bins: NDArray[np.int64]) -> list[int]:
    """How many are in each bin."""
    return [int(count) for count in np.bincount(bins, minlength=BINS)]


def reliability_of(samples: list[int], right: list[int], confidence: list[int]) -> Reliability:
    """The same from the sums of each bin.

    Args:
        samples: how many samples.
        right: how many right answers.
        confidence: the sum of the probabilities, as `exact_sum` gives it.
    """
    gaps = sum(abs((hits << UNIT) - sure) for hits, sure in zip(right, confidence, strict=True))
    return Reliability(
        tuple(samples),
        tuple(quotient(sure, count) if count else None for sure, count in zip(confidence, samples, strict=True)),
        tuple(hits / count if count else None for hits, count in zip(right, samples, strict=True)),
        quotient(gaps, sum(samples)),
    )
