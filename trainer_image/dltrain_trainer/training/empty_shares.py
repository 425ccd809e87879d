"""Whether a model takes the shares without samples that its training will bring, known before the first step."""

from __future__ import annotations

from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.models.shapes import ModelError, Shape
from dltrain_trainer.models.trial import fault_without_samples
from dltrain_trainer.training.state import TrainingState


def check_empty_shares(state: TrainingState, shape: Shape, sampler: Sampler, ranks: int) -> None:
    """See that a model can be run on every share that the steps to come bring; with the same result on every rank.

    It matters where batch normalisations are synchronised, so that the model runs on empty shares, too. Each attempt
    looks anew, for another number of ranks divides the batches otherwise.

    Args:
        state: what is trained, as of the step that it goes on from.
        shape: of a prepared sample.
        sampler: the order of the training samples.
        ranks: how many share a batch.

    Raises:
        ModelError: a share will be empty, and the model does not take it.
    """
    train = state.learner.train
    is_over = state.is_over or state.step >= train.epochs * sampler.steps_per_epoch
    smallest = sampler.samples % sampler.batch_size or sampler.batch_size
    if is_over or not state.learner.always_runs or smallest // ranks >= train.accumulation:
        return
    if fault := fault_without_samples(state.learner.model, shape):
        passes = f" in each of {train.accumulation} passes" if train.accumulation > 1 else ""
        raise ModelError(
            "spec.pipeline.train.communication.syncBatchNorm: the model must take a share without samples, and cannot: "
            f"{fault}; the last batch of an epoch has {smallest} of {sampler.samples} samples, too few for each of "
            f"{ranks} ranks to have one{passes}; choose a globalBatchSize of which every rank has a share in every "
            "batch, the last of an epoch too, and in every pass of accumulation, or remove syncBatchNorm"
        )
