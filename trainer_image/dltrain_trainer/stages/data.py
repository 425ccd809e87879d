"""The data stage: reads the data, checks it against the job, fits the preprocessing."""

from __future__ import annotations

from dltrain_trainer.data.preprocess import fit_preprocessing
from dltrain_trainer.data.sources import load_dataset
from dltrain_trainer.errors import DataError
from dltrain_trainer.run import Run


def run(run: Run) -> None:
    """Make the data ready.

    Raises:
        DataError: the data is missing, damaged, or does not fit the job.
    """
    run.dataset = load_dataset(run.pipeline.data)
    check_batch_size(run.pipeline.train.global_batch_size, len(run.dataset.train), run.communicator.size)
    run.preprocessing = fit_preprocessing(run.dataset.train.images, run.pipeline.data.transforms)


def check_batch_size(batch_size: int, samples: int, ranks: int) -> None:
    """See that every rank can have a part of a batch, and a batch is a part of the data.

    Raises:
        DataError: it is not so.
    """
    path = "spec.pipeline.train.globalBatchSize"
    if batch_size < ranks:
        raise DataError(f"{path}: must be at least the number of ranks, {ranks} (got {batch_size}); raise it")
    if batch_size > samples:
        raise DataError(
            f"{path}: must be at most the number of training samples, {samples} (got {batch_size}); lower it"
        )
