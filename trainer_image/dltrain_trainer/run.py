"""One run of a pipeline on one rank: what the stages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from dltrain.api.pipeline import Pipeline
from dltrain.api.policy import Checkpoint
from dltrain.api.status import CompressionRow
from dltrain.pulse import Pulse
from dltrain_trainer.data.prepared import PreparedData
from dltrain_trainer.data.statistics.identity import Facts
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.evaluation.families import Measured
from dltrain_trainer.export import Artifact
from dltrain_trainer.progress import Progress


@dataclass
class Run:
    """Filled in by one stage after the other."""

    job: str
    """The job's name."""
    pipeline: Pipeline
    checkpoint: Checkpoint
    output: Path
    attempt: int
    """How often the ranks were started, this time included."""
    communicator: Communicator
    device: torch.device
    progress: Progress
    data: PreparedData = field(init=False)
    facts: Facts = field(init=False)
    """What tells the data from other data."""
    artifact: Artifact = field(init=False)
    snapshots: Path | None = None
    """The folder for snapshots in the pod's memory, where an agent has made one."""
    pulse: Pulse = field(default_factory=lambda: Pulse(None))
    """What the agent is told of every step."""
    fail_on_nan: bool = True
    """Whether a loss that is no finite number ends the training."""
    precision: str = "fp32"
    """What training computed in."""
    train_seconds: float = 0.0
    rows: tuple[CompressionRow, ...] = ()
    """What each step of the compression has come to."""
    graph: bytes | None = None
    """In ONNX, for prepared samples: what is shipped, where the model was quantised."""
    measured: Measured = field(default_factory=Measured)
    """Of what is shipped, on the test split."""
    measured_unquantized: Measured = field(default_factory=Measured)
    """Of the model before it was quantised; the same where it was not."""

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files."""
        return self.communicator.rank == 0
