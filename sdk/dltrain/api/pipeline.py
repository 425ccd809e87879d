"""What a job trains: data, model, training, evaluation and export."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dltrain.api.base import SpecModel
from dltrain.api.choices import each_once
from dltrain.api.data import Data
from dltrain.api.evaluate import Evaluate
from dltrain.api.model import Model
from dltrain.api.train import Train


class Export(SpecModel):
    """In which formats the trained model is written to the storage; each is read back and compared before it counts."""

    rules = (each_once("formats", "format"),)
    formats: Annotated[tuple[Literal["safetensors", "onnx"], ...], Field(min_length=1, max_length=8)] = ("safetensors",)
    """safetensors: model.safetensors (weights) and model.json (architecture and preprocessing); onnx: model.onnx, which
    takes raw samples, for the statistics of the preprocessing are in its graph."""


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
