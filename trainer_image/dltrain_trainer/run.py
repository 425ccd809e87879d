"""One run of a pipeline on one rank: what the stages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from dltrain.api.pipeline import Pipeline
from dltrain.api.policy import Checkpoint
from dltrain_trainer.data.dataset import Dataset
from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.export import Artifact
from dltrain_trainer.progress import Progress


@dataclass
class Run:
    """Filled in by one stage after the other."""

    pipeline: Pipeline
    checkpoint: Checkpoint
    output: Path
    attempt: int
    """How often the ranks were started, this time included."""
    communicator: Communicator
    device: torch.device
    progress: Progress
    dataset: Dataset = field(init=False)
    preprocessing: Preprocessing = field(init=False)
    artifact: Artifact = field(init=False)
    train_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files."""
        return self.communicator.rank == 0
