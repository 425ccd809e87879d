"""Samples shared out among ranks in any way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dltrain_trainer.evaluation.predict import Predictions


def taken(predictions: Predictions, samples: np.ndarray) -> Predictions:
    """Some of the samples."""
    return replace(predictions, logits=predictions.logits[samples], targets=predictions.targets[samples])


def shuffled_shares(predictions: Predictions, size: int, seed: int) -> list[Predictions]:
    """The samples shared out at random, in any order; some shares are small, or empty."""
    generator = np.random.default_rng(seed)
    owners = generator.integers(0, size, len(predictions)) * generator.integers(0, 2, len(predictions))
    order = generator.permutation(len(predictions))
    return [taken(predictions, order[owners[order] == rank]) for rank in range(size)]
