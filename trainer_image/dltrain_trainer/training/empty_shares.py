"""Shares without samples, on which a model runs where its batch normalisations are synchronised, if it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor, nn

from dltrain.api.train import Train
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.models.shapes import ModelError, Shape
from dltrain_trainer.models.trial import fault_without_samples

PATH: Final = "spec.pipeline.train.communication.syncBatchNorm"
ADVICE: Final = (
    "choose a globalBatchSize of which every rank has a share in every batch, the last of an epoch too, and in every "
    "pass of accumulation, or remove syncBatchNorm"
)


def check_empty_shares(model: nn.Module, train: Train, shape: Shape, sampler: Sampler, ranks: int) -> None:
    """See that a model can be run on every share that an epoch brings; with the same result on every rank.

    Args:
        model: with its batch normalisations replaced; left as it was.
        train: the job's settings.
        shape: of a prepared sample.
        sampler: the order of the training samples.
        ranks: how many share a batch.

    Raises:
        ModelError: a share will be empty, and the model does not take it.
    """
    synchronized = train.communication.sync_batch_norm and ranks > 1
    smallest = sampler.samples % sampler.batch_size or sampler.batch_size
    if not synchronized or smallest // ranks >= train.accumulation:
        return
    if fault := fault_without_samples(model, shape):
        passes = f" in each of {train.accumulation} passes" if train.accumulation > 1 else ""
        raise refusal(
            f"{fault}; the last batch of an epoch has {smallest} of {sampler.samples} samples, too few for each of "
            f"{ranks} ranks to have one{passes}"
        )


def with_empty_shares(model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What runs a model on every share, and says so where it cannot take one without samples.

    Args:
        model: its batch normalisations are synchronised.
        forward: what runs it.

    Raises:
        ModelError: from what is returned: the model failed on an empty share, and does without other ranks, too.
    """

    def run(inputs: Tensor) -> Tensor:
        try:
            return forward(inputs)
        except Exception as error:
            if not len(inputs) and (fault := fault_without_samples(model, tuple(inputs.shape[1:]))):
                raise refusal(fault) from error
            raise

    return run


def refusal(fault: str) -> ModelError:
    """What is said of a model that takes no empty share."""
    return ModelError(f"{PATH}: the model must take a share without samples, and cannot: {fault}; {ADVICE}")
