"""What cannot be known before the data is read: whether the job and its data fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from dltrain.api.data import Task
from dltrain.api.evaluate import NOT_NUMBERS, Evaluate, metrics_for
from dltrain.api.pipeline import Pipeline
from dltrain.api.train import Train
from dltrain_trainer.data.samples import Dataset
from dltrain_trainer.evaluation.problems import evaluation_problems
from dltrain_trainer.training.losses import check_task, class_weights

PATH = "spec.pipeline.train"


def job_problems(pipeline: Pipeline, dataset: Dataset, ranks: int) -> list[str]:
    """Why a job cannot be run on its data; all at once, each with field path, rule, value and remedy.

    Args:
        pipeline: the job's.
        dataset: its data.
        ranks: how many share the work.
    """
    return [
        *batch_problems(pipeline.train.global_batch_size, len(dataset.train), ranks),
        *loss_problems(pipeline.train, dataset),
        *stopping_problems(pipeline, dataset),
        *evaluation_problems(pipeline.evaluate, dataset.task, dataset.outputs, dataset.test.targets.numpy()),
    ]


def batch_problems(batch_size: int, samples: int, ranks: int) -> Iterator[str]:
    """Every rank must have a part of a batch, and a batch is a part of the data."""
    path = f"{PATH}.globalBatchSize"
    if batch_size < ranks:
        yield f"{path}: must be at least the number of ranks, {ranks} (got {batch_size}); raise it"
    if batch_size > samples:
        yield f"{path}: must be at most the number of training samples, {samples} (got {batch_size}); lower it"


def loss_problems(train: Train, dataset: Dataset) -> Iterator[str]:
    """The loss must be one for the task, with a weight for each class."""
    try:
        check_task(train.loss, dataset.task)
    except ValueError as error:
        yield f"{PATH}.loss: {error}"
        return
    if dataset.task == "classification":
        try:
            class_weights(train, dataset.train.targets, dataset.outputs)
        except ValueError as error:
            yield f"{PATH}.crossEntropy.classWeights: {error}; correct the list"


def stopping_problems(pipeline: Pipeline, dataset: Dataset) -> Iterator[str]:
    """Early stopping needs a validation split, and a metric that it has."""
    stopping = pipeline.train.early_stopping
    if stopping is None:
        return
    path = f"{PATH}.earlyStopping"
    if dataset.validation is None:
        yield f"{path}: needs a validation split (got none); set spec.pipeline.data.split.validation, or remove it"
    elif stopping.metric != "loss":
        numbers = validation_metrics(dataset.task)
        if stopping.metric not in numbers:
            known = ", ".join(("loss", *numbers))
            yield f"{path}.metric: must be a metric of {dataset.task} (got {stopping.metric}); choose from {known}"
            return
        asked = Evaluate(
            metrics=(stopping.metric,), top_k=pipeline.evaluate.top_k if stopping.metric == "topK" else None
        )
        targets = dataset.validation.targets.numpy()
        for problem in evaluation_problems(asked, dataset.task, dataset.outputs, targets):
            yield f"{path}.metric: {problem.partition(': ')[2].replace('test split', 'validation split')}"


def validation_metrics(task: Task) -> tuple[str, ...]:
    """The metrics of a task that are one number."""
    return tuple(name for name in metrics_for(task) if name not in NOT_NUMBERS)
