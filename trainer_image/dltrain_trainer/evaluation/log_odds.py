"""The scores that samples are ranked by: log-odds, which tell apart what is so sure that its probability is rounded.

The log-odds of a probability p are log(p / (1 - p)), and rise with it.  In float64 a probability is exactly 1 from
log-odds of 37 on, and exactly 0 below -745: samples ranked by it would tie, and their order would be lost.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dltrain_trainer.evaluation.predict import Predictions

Floats = NDArray[np.float64]
Scorer = Callable[[int], Floats]
"""A class or label -> the log-odds of it for each of this rank's samples, (N,)."""


def scorer(predictions: Predictions) -> Scorer:
    """What gives the log-odds of each class, one against the rest, or of each label."""
    logits = predictions.logits
    if predictions.task == "multilabel":
        return lambda label: logits[:, label]
    if predictions.binary:
        return lambda output: logits[:, output] - logits[:, 1 - output]
    return class_scorer(logits)


def class_scorer(logits: Floats) -> Scorer:
    """The log-odds of any of several classes: its logit less the log-sum-exp of the others.

    Args:
        logits: (N, K).
    """
    largest, lead = logits.max(1), largest_log_odds(logits)
    total = np.log1p(np.exp(-lead))  # the log-sum-exp of all classes, less the largest logit

    def log_odds(output: int) -> Floats:
        own = logits[:, output]
        log_p = own - largest - total
        with np.errstate(divide="ignore"):  # only where p is 1, of the largest
            smaller = log_p - np.log1p(-np.exp(log_p))
        return np.where(own == largest, lead, smaller)

    return log_odds


def largest_log_odds(logits: Floats) -> Floats:
    """The log-odds of each sample's likeliest class, (N,); infinite where no other is possible.

    The others are summed by themselves: what little a sure answer leaves them would be lost in a difference of sums.

    Args:
        logits: (N, K).
    """
    others = logits.copy()
    np.put_along_axis(others, logits.argmax(1)[:, None], -np.inf, 1)
    second = others.max(1)
    base = np.where(np.isneginf(second), 0, second)
    others -= base[:, None]
    np.exp(others, out=others)
    lead: Floats = logits.max(1) - base
    with np.errstate(divide="ignore"):
        lead -= np.log(others.sum(1))
    return lead


def probability(log_odds: Floats) -> Floats:
    """The probabilities that log-odds are of; NaN of NaN."""
    power = np.exp(-np.abs(log_odds))  # at most 1: no overflow
    return np.asarray(np.where(log_odds < 0, power, 1) / (1 + power))
