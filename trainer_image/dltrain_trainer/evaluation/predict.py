"""What a model says of the samples of a split, each rank for its share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dltrain.api.data import Task
from dltrain_trainer.distributed.device import device_of
from dltrain_trainer.evaluation.problems import MetricError
from dltrain_trainer.evaluation.ranks import Ranks, gather

BATCH: Final = 256
"""A sample's outputs may be rounded otherwise in another batch: so batches are the same for any number of ranks."""
PROBABILITIES: Final[Mapping[Task, Callable[[Tensor], Tensor]]] = {
    "classification": lambda logits: torch.softmax(logits, 1),
    "multilabel": torch.sigmoid,
    "regression": lambda values: values,
}
"""What turns a model's outputs, in float64, into probabilities or values."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """A rank's share of the samples: what the model says, and what is right."""

    task: Task
    logits: NDArray[np.float64]
    """Logits of the classes or labels, or the values, (N, K): they tell apart what sure probabilities do not."""
    targets: NDArray[Any]
    """int64 classes (N,); else float64 (N, K): 0 or 1 for labels, or values."""
    losses: tuple[float, ...] = ()
    """The sum of the loss over each batch, where one was asked for."""

    @property
    def outputs(self) -> NDArray[np.float64]:
        """Probabilities of the classes or labels, or the values, (N, K); worked out anew each time."""
        return PROBABILITIES[self.task](torch.from_numpy(self.logits)).numpy()

    @property
    def width(self) -> int:
        """How many classes, labels or values each sample has."""
        return int(self.logits.shape[1])

    @property
    def binary(self) -> bool:
        """Whether there are two classes, of which the second is the one that is looked for."""
        return self.task == "classification" and self.width == 2

    def __len__(self) -> int:
        return len(self.targets)


def predict(  # noqa: PLR0913 - a model, samples, and how both are used
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    prepare: Callable[[Tensor], Tensor],
    *,
    task: Task,
    outputs: int,
    ranks: Ranks,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Predictions:
    """Apply a model, in evaluation mode, to this rank's share of the batches of a split.

    Args:
        model: maps prepared batches to logits or values (n, outputs).
        inputs: of the whole split, (N, ...).
        targets: of the whole split: int64 (N,) classes, or (N,) or (N, outputs) labels or values.
        prepare: the preprocessing of a batch.
        task: what is learnt.
        outputs: how many classes, labels or values there are.
        ranks: those that share the work.
        loss: outputs and targets of a batch -> the sum of its losses.

    Raises:
        MetricError: on every rank: some output is not a finite number.
    """
    device, losses = device_of(model), list[float]()
    starts = range(ranks.rank * BATCH, len(targets), ranks.size * BATCH)

    def logits_of(start: int) -> NDArray[np.float64]:
        said: Tensor = model(prepare(inputs[start : start + BATCH].to(device)))
        if loss is not None:
            losses.append(float(loss(said, targets[start : start + BATCH].to(device))))
        return said.double().reshape(-1, outputs).cpu().numpy()

    model.eval()
    with torch.inference_mode():
        logits = np.concatenate([np.empty((0, outputs)), *map(logits_of, starts)])
    mine = torch.cat([targets[:0], *(targets[start : start + BATCH] for start in starts)]).cpu()
    predictions = Predictions(task, logits, right_answers(mine, task, outputs), tuple(losses))
    check_finite(predictions.outputs, ranks)
    return predictions


def mean_loss(predictions: Predictions, ranks: Ranks) -> float:
    """The mean loss over all samples; the same to the bit on any number of ranks, for the sum is exact.

    Args:
        predictions: this rank's, with their losses.
        ranks: those that share the work.
    """
    (samples,) = ranks.sum_integers([len(predictions)])
    return math.fsum(chain.from_iterable(gather(ranks, predictions.losses))) / samples


def right_answers(targets: Tensor, task: Task, outputs: int) -> NDArray[Any]:
    """Targets as Predictions has them."""
    return targets.long().numpy() if task == "classification" else targets.double().reshape(-1, outputs).numpy()


def check_finite(outputs: NDArray[np.float64], ranks: Ranks) -> None:
    """See that a model has not diverged.

    Raises:
        MetricError: on every rank: it has.
    """
    finite = np.count_nonzero(np.isfinite(outputs).all(axis=1))
    bad, samples = ranks.sum_integers([len(outputs) - int(finite), len(outputs)])
    if bad:
        raise MetricError(
            f"the model's outputs are not finite numbers for {bad} of {samples} samples: it has diverged; "
            "lower spec.pipeline.train.optimizer.lr, or add a warm-up to the schedule"
        )
