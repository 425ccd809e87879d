"""What a step of a training means: a checkpoint of a training in which it differs is not gone on from."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from dltrain_trainer.run import Run

ELSEWHERE = ("source", "format", "limit", "transforms")
"""Data may be moved to another address; its size and the statistics of its transforms are looked at instead."""


def what_a_step_means(run: Run) -> dict[str, Any]:
    """What must not change between a checkpoint and the training that goes on from it, as plain JSON values."""
    train, data = run.pipeline.train, run.pipeline.data.to_dict()
    return {
        "model": run.artifact.blueprint.to_dict(),
        "preprocessing": digest(run.data.preprocessing.to_dict()),
        "samples": len(run.data.dataset.train),
        **{f"data.{name}": value for name, value in data.items() if name not in ELSEWHERE},
        **{f"train.{name}": value for name, value in train.model_dump(mode="json", by_alias=True).items()},
    }


def digest(value: Any) -> str:
    """A short name for a JSON value that may be long."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
