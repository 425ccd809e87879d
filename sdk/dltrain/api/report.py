"""What a rank tells its agent while it runs: one datagram a report, on the socket that DLTRAIN_REPORT_SOCKET names."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from dltrain.api.base import StatusModel
from dltrain.api.progress import Bandwidth, RankUsage, Shares, Straggler
from dltrain.api.status import Results

MAX_REPORT_BYTES: Final = 64 * 1024
MAX_RANKS: Final = 64
"""Of how many ranks the use of memory is told: a status is no place for thousands."""


class ProgressReport(StatusModel):
    """How far the rank is."""

    type: Literal["progress"] = "progress"
    rank: int = Field(ge=0)
    stage: str = Field(default="command", max_length=64)
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    total: int | None = None
    """Steps in all."""
    loss: float | None = None
    samples_per_second: float | None = None
    eta_seconds: float | None = None
    time_split: Shares | None = None
    """Where the time of an epoch goes."""
    stragglers: tuple[Straggler, ...] | None = None
    """Ranks that hold the others up."""
    ranks: tuple[RankUsage, ...] | None = Field(default=None, max_length=MAX_RANKS)
    """What the first ranks use."""
    bandwidth: Bandwidth | None = None
    """How fast the ranks exchange data."""


class CheckpointReport(StatusModel):
    """A checkpoint is complete on the storage."""

    type: Literal["checkpoint"] = "checkpoint"
    rank: int = Field(ge=0)
    step: int
    path: str


class ResultsReport(StatusModel):
    """What the job produced."""

    type: Literal["results"] = "results"
    rank: int = Field(ge=0)
    results: Results


Report = Annotated[ProgressReport | CheckpointReport | ResultsReport, Field(discriminator="type")]
REPORT: Final[TypeAdapter[Report]] = TypeAdapter(Report)
