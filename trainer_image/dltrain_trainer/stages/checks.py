"""What cannot be known before the data is read: whether the job and its data fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from dltrain.api.data import Task
from dltrain.api.evaluate import NOT_NUMBERS, Evaluate, MetricName, metrics_for, wanted_metrics
from dltrain.api.pipeline import Pipeline
from dltrain.api.train import Train
from dltrain_trainer.data.samples import Dataset, Split
from dltrain_trainer.evaluation.problems import evaluation_problems
from dltrain_trainer.training.losses import check_task, class_weights

PIPELINE = "spec.pipeline"
PATH = f"{PIPELINE}.train"
COMPRESS = f"{PIPELINE}.compress"


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
        *compression_problems(pipeline, dataset),
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


def compression_problems(pipeline: Pipeline, dataset: Dataset) -> Iterator[str]:
    """A compression needs a validation split, a metric to follow, and samples to calibrate with."""
    if pipeline.compress is None:
        return
    if dataset.validation is None:
        remedy = "set spec.pipeline.data.split.validation, or remove it"
        yield f"{COMPRESS}: needs a validation split (got none); {remedy}"
        return
    yield from gate_problems(pipeline, dataset, dataset.validation)
    for index, step in enumerate(pipeline.compress.steps):
        wanted = step.quantize and step.quantize.calibration_samples
        if wanted and wanted > len(dataset.train):
            field = f"{COMPRESS}.steps[{index}].quantize.calibrationSamples"
            rule = f"must be at most the {len(dataset.train)} samples of the training split"
            yield f"{field}: {rule} (got {wanted}); lower it"


def gate_problems(pipeline: Pipeline, dataset: Dataset, validation: Split) -> Iterator[str]:
    """The gate follows a metric that is a number, and that the validation split has the samples for."""
    names, known = row_metrics(pipeline, dataset.task), validation_metrics(dataset.task)
    field, remedy = f"{COMPRESS}.gate.metric", f"choose from {', '.join(known)}"
    if not names:
        yield f"{field}: is required where no evaluated metric is a number; {remedy}"
    elif pipeline.evaluate.metrics is None and names[0] not in known:
        yield f"{field}: must be a metric of {dataset.task} (got {names[0]}); {remedy}"
    else:
        asked = Evaluate.model_construct(metrics=names, top_k=pipeline.evaluate.top_k)
        for problem in evaluation_problems(asked, dataset.task, dataset.outputs, validation.targets.numpy()):
            yield problem.replace("test split", "validation split")


def row_metrics(pipeline: Pipeline, task: Task) -> tuple[MetricName, ...]:
    """What is measured of every step of a compression, the metric that its gate follows first."""
    evaluated = [name for name in wanted_metrics(pipeline.evaluate, task) if name not in NOT_NUMBERS]
    own = pipeline.compress.gate.metric if pipeline.compress else None
    return tuple(dict.fromkeys([*([own] if own else []), *evaluated]))


def followed_metric(pipeline: Pipeline, task: Task) -> MetricName:
    """The metric that the gate of a compression follows: its own, or the first that the job evaluates."""
    return row_metrics(pipeline, task)[0]
