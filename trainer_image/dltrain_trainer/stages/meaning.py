"""What a step of a training means: a checkpoint of a training in which it differs is not gone on from."""

from __future__ import annotations

from typing import Any, Final

from dltrain_trainer.checkpoint.fitted import PREPROCESSING
from dltrain_trainer.run import Run

ELSEWHERE: Final = ("source", "format", "limit")
"""Data may be moved to another address; what it is, and how much, is looked at instead."""


def what_a_step_means(run: Run) -> dict[str, Any]:
    """What must not change between a checkpoint and the training that goes on from it, as plain JSON values."""
    train, data = run.pipeline.train, run.pipeline.data.to_dict()
    return {
        "model": run.artifact.blueprint.to_dict(),
        PREPROCESSING: run.data.preprocessing.to_dict(),
        **what_fitting_follows_from(run),
        "targets": run.facts["training targets"],
        **{f"data.{name}": value for name, value in data.items() if name not in ELSEWHERE},
        **{f"train.{name}": value for name, value in train.model_dump(mode="json", by_alias=True).items()},
    }


def what_fitting_follows_from(run: Run) -> dict[str, Any]:
    """What decides the preprocessing but for rounding: the data, and the job's transforms; as plain JSON values."""
    return {
        **{name: run.facts[f"training {name}"] for name in ("samples", "shape", "inputs")},
        "columns": run.facts["columns"],
        "data.transforms": run.pipeline.data.to_dict().get("transforms"),
    }
