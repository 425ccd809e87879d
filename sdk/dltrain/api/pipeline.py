"""What a job trains: data, model, training, evaluation and export."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.base import Count, Form, Found, Fraction, Rule, SpecModel

NAMED_SOURCES: Final = ("fashion-mnist",)


class Normalize(SpecModel):
    """Subtract the training split's mean and divide by its standard deviation, per channel."""


class Transform(SpecModel):
    """One step of preprocessing; set exactly one field."""

    rules = (
        Rule(
            cel="has(self.normalize)",
            holds=lambda step: step.normalize is not None,
            message="must name a transform; set normalize: {}",
        ),
    )
    normalize: Normalize | None = None
    """Standardise with the training split's mean and standard deviation, per channel."""


class Limit(SpecModel):
    """How much of each split to use; for trying a job out quickly."""

    train: Annotated[int, Field(ge=1)] | None = None
    """The first so many training samples. Default: all."""
    test: Annotated[int, Field(ge=1)] | None = None
    """The first so many test samples. Default: all."""


class Data(SpecModel):
    """Where the samples come from and how they are prepared."""

    rules = (
        Rule(
            cel="self.source.startsWith('file://') == has(self.format)",
            holds=lambda data: data.source.startswith("file://") == (data.format is not None),
            message="must be given exactly when source is a file:// address; add format: idx or npz, or remove it",
            at=("format",),
            found=Found("self.source", lambda data: data.source),
        ),
    )
    source: Annotated[
        str,
        Field(pattern=r"^(fashion-mnist|file:///.+)$", max_length=1024),
        Form("must be a named set or a file:// address", "write fashion-mnist, or file:///PATH with a format"),
    ]
    """A named set (fashion-mnist), or file:///PATH as the worker sees it, with a format."""
    format: Literal["idx", "npz"] | None = None
    """Of a file:// source: idx (a folder with the four MNIST-style files) or npz (x_train, y_train, x_test, y_test)."""
    transforms: Annotated[tuple[Transform, ...], Field(max_length=32)] = ()
    """Preprocessing steps, in order; their statistics become part of the exported model."""
    limit: Limit = Limit()
    """How much of each split to use. Default: all of it."""


class Model(SpecModel):
    """The network to train."""

    name: Literal["cnn", "resnet18"]
    """The architecture: cnn (two convolution blocks, two linear layers) or resnet18 (He et al. 2015)."""


class Optimizer(SpecModel):
    """How parameters follow the gradients."""

    name: Literal["sgd"] = "sgd"
    """The method: sgd (stochastic gradient descent)."""
    lr: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """The peak learning rate, for the global batch as a whole."""
    momentum: Fraction = 0.9
    """The momentum factor; 0 switches it off."""


class Schedule(SpecModel):
    """How the learning rate changes over the training."""

    name: Literal["constant", "cosine"] = "constant"
    """constant, or cosine (decays to zero along half a cosine, Loshchilov and Hutter 2016)."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Epochs over which the learning rate first rises linearly from zero to its peak."""


class Regularization(SpecModel):
    """What keeps the model from fitting noise."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """L2 decay of weights; biases and normalisation parameters are never decayed."""


class Train(SpecModel):
    """How the model is trained. The number of ranks changes rounding, and in resnet18 each rank's batch statistics."""

    rules = (
        Rule(
            cel="!has(self.schedule) || self.schedule.warmupEpochs <= double(self.epochs)",  # absent in a default: {}
            holds=lambda train: train.schedule.warmup_epochs <= train.epochs,
            message="must not be longer than the training; lower it or raise epochs",
            at=("schedule", "warmupEpochs"),
            found=Found("self.schedule.warmupEpochs", lambda train: f"{train.schedule.warmup_epochs:g}"),
        ),
    )
    epochs: Count = 1
    """How often the training split is passed over."""
    global_batch_size: Annotated[int, Field(ge=1, le=1_048_576)] = 128
    """Samples per optimizer step over all ranks together."""
    loss: Literal["crossEntropy"] = "crossEntropy"
    """What is minimised."""
    optimizer: Optimizer = Optimizer()
    """How parameters follow the gradients."""
    schedule: Schedule = Schedule()
    """How the learning rate changes over the training."""
    regularization: Regularization = Regularization()
    """What keeps the model from fitting noise."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Decides initial weights and sample order; the same seed gives the same run."""


class Evaluate(SpecModel):
    """What is measured on the test split after training."""

    metrics: Annotated[tuple[Literal["accuracy"], ...], Field(min_length=1, max_length=16)] = ("accuracy",)
    """The metrics to report; each is exact over all ranks."""


class Export(SpecModel):
    """In which formats the trained model is written to the storage."""

    formats: Annotated[tuple[Literal["safetensors"], ...], Field(min_length=1, max_length=8)] = ("safetensors",)
    """safetensors: model.safetensors (weights) and model.json (architecture and preprocessing)."""


class Pipeline(SpecModel):
    """A job made of dltrain's own stages: data, train, evaluate, export."""

    data: Data
    """Where the samples come from and how they are prepared."""
    model: Model
    """The network to train."""
    train: Train = Train()
    """How the model is trained."""
    evaluate: Evaluate = Evaluate()
    """What is measured on the test split after training."""
    export: Export = Export()
    """In which formats the trained model is written to the storage."""
