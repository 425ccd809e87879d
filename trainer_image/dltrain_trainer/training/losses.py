"""Losses, each as the sum over the samples of a batch.

Divided by the size of the global batch, the sums of all ranks add up to the mean over the whole batch, whatever part of
it each rank has, none included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from dltrain.api.train import CrossEntropy, Huber, Train

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs of shape (n, K) and the targets of the same samples -> the sum of their losses, a float32 scalar."""

TASKS: Final[dict[str, str]] = {
    "crossEntropy": "classification",
    "bceWithLogits": "multilabel",
    "mse": "regression",
    "huber": "regression",
}
"""What each loss is for."""


def cross_entropy(outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """The cross entropy of classes: sum over n and c of -q[n, c] w[c] log softmax(outputs[n])[c].

    q is (1 - smoothing) t + smoothing / K with t the target as a distribution (Szegedy et al. 2015, "Rethinking the
    Inception Architecture", section 7).  Class weights scale a sample's loss; the mean that follows from the sum is
    over the number of samples, not over the sum of their weights as in torch: that of the global batch is not known
    before the forward pass of the last rank.

    Args:
        outputs: logits, shape (n, K).
        targets: int64 classes, shape (n,); or float32 distributions, shape (n, K), as mixing samples gives them.
        smoothing: the share of each target that is spread over all classes alike.
        weights: of the classes, shape (K,).
    """
    return functional.cross_entropy(
        outputs.float(), targets, weight=weights, reduction="sum", label_smoothing=smoothing
    )


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The cross entropy of labels that are there or not: sum over n of the mean over k of -log p(targets[n, k]).

    Args:
        outputs: logits, shape (n, K).
        targets: float32 from 0 to 1, shape (n, K) or (n,).
    """
    each = functional.binary_cross_entropy_with_logits(outputs.float(), columns(targets), reduction="none")
    return each.mean(1).sum()


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The squared error: sum over n of the mean over k of (outputs - targets)^2.

    Args:
        outputs: values, shape (n, K).
        targets: float32, shape (n, K) or (n,).
    """
    return (outputs.float() - columns(targets)).square().mean(1).sum()


def huber(outputs: Tensor, targets: Tensor, *, delta: float = 1.0) -> Tensor:
    """The Huber loss (Huber 1964): sum over n of the mean over k of h(outputs - targets).

    h(e) is e^2 / 2 up to |e| = delta, and delta (|e| - delta / 2) beyond.

    Args:
        outputs: values, shape (n, K).
        targets: float32, shape (n, K) or (n,).
        delta: where it turns from squared to absolute.
    """
    each = functional.huber_loss(outputs.float(), columns(targets), reduction="none", delta=delta)
    return each.mean(1).sum()


def columns(targets: Tensor) -> Tensor:
    """Targets as float32 of shape (n, K)."""
    return targets.float() if targets.ndim > 1 else targets.float()[:, None]


LOSSES: Final[dict[str, Callable[[Train, Tensor | None], Loss]]] = {
    "crossEntropy": lambda train, weights: partial(
        cross_entropy, smoothing=(train.cross_entropy or CrossEntropy()).label_smoothing, weights=weights
    ),
    "bceWithLogits": lambda _train, _weights: binary_cross_entropy,
    "mse": lambda _train, _weights: squared_error,
    "huber": lambda train, _weights: partial(huber, delta=(train.huber or Huber()).delta),
}
"""The job's training settings and the weights of its classes -> its loss."""


def make_loss(train: Train, weights: Tensor | None = None) -> Loss:
    """The loss of a job.

    Args:
        train: its training settings.
        weights: of its classes, from `class_weights`, on the device of the outputs.
    """
    return LOSSES[train.loss](train, weights)


def check_task(loss: str, task: str) -> None:
    """See that a loss is one for the data.

    Args:
        loss: its name.
        task: classification, multilabel or regression.

    Raises:
        ValueError: it is not.
    """
    if TASKS[loss] != task:
        fitting = " or ".join(name for name, of in TASKS.items() if of == task)
        raise ValueError(f"{loss} is for {TASKS[loss]}, the data is for {task}; use {fitting}")


def class_weights(train: Train, labels: Tensor, classes: int) -> Tensor | None:
    """The weights that the job gives its classes; None where all are 1.

    Args:
        train: the training settings.
        labels: int64, of the training split, shape (N,).
        classes: how many there are.

    Returns:
        float32, shape (classes,).

    Raises:
        ValueError: the job gives another number of them.
    """
    options = train.cross_entropy or CrossEntropy()
    if options.balanced:
        return balanced_weights(labels, classes)
    if options.class_weights is None:
        return None
    if len(options.class_weights) != classes:
        raise ValueError(f"there must be a weight for each of the {classes} classes, got {len(options.class_weights)}")
    return torch.tensor(options.class_weights)


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights in inverse proportion to how often a class occurs: N / (classes n[c]); their mean over samples is 1.

    King and Zeng 2001, "Logistic Regression in Rare Events Data".  Classes that do not occur are not counted among the
    classes, and weigh as if they occurred once.

    Args:
        labels: int64, shape (N,).
        classes: how many there are.
    """
    counts = torch.bincount(labels.cpu(), minlength=classes)
    return (len(labels) / (counts.count_nonzero() * counts.clamp(min=1).double())).float()
