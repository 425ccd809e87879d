"""How far a job's training is, and what its ranks do meanwhile; a part of its status."""

from __future__ import annotations

from datetime import datetime

from dltrain.api.base import StatusModel


class Shares(StatusModel):
    """Where the time of training goes, as shares of it; of rank 0."""

    compute: float = 0.0
    """Forward, backward and optimizer."""
    communication: float = 0.0
    """Waiting for other ranks."""
    data: float = 0.0
    """Waiting for batches."""


class Straggler(StatusModel):
    """A rank that holds all others up."""

    rank: int
    """Which one."""
    slowdown: float
    """How many times as long as the median rank it computes in a step."""


class RankUsage(StatusModel):
    """What a rank uses of the machine."""

    rank: int
    """Which one."""
    compute_seconds: float
    """For how long it has computed in the newest epoch; the others wait for the one that takes longest."""
    memory_mebibytes: int
    """The most memory that its process has held."""
    gpu_memory_mebibytes: int | None = None
    """The most memory of its GPU that it has taken; absent without one."""


class Bandwidth(StatusModel):
    """How fast the ranks exchange data, measured before the first step."""

    allreduce: float
    """Of a sum over all ranks, in gigabytes a second: what each link carries (nccl-tests' bus bandwidth)."""
    pairs: float | None = None
    """What the median pod exchanges with another, both ways together, in gigabytes a second; absent for one machine."""
    slow: tuple[str, ...] = ()
    """Workers that exchange less than half of that with each other one that they were tried with."""


class Progress(StatusModel):
    """How far the training is."""

    stage: str = ""
    """The stage of the pipeline: data, train, evaluate or export; `command` for a user's program."""
    epoch: int | None = None
    """The epoch under way, from 1."""
    epochs: int | None = None
    """Epochs in all."""
    step: int | None = None
    """Optimizer steps done."""
    steps: int | None = None
    """Optimizer steps in all."""
    percent: int | None = None
    """The share of steps done."""
    summary: str = ""
    """The same with a percent sign, for printing."""
    loss: float | None = None
    """The training loss of the newest step reported."""
    losses: tuple[float, ...] = ()
    """The training loss so far, in at most 32 points that are spread evenly over the steps of training."""
    samples_per_second: float | None = None
    """Throughput of all ranks together."""
    time_split: Shares | None = None
    """Where the time of the epoch under way goes; of the one before, in the first seconds."""
    stragglers: tuple[Straggler, ...] | None = None
    """Ranks whose steps take over 1.5 times as long as the median rank's, in the newest epoch; the slowest first."""
    ranks: tuple[RankUsage, ...] | None = None
    """What the first 64 ranks use, as of the newest epoch."""
    bandwidth: Bandwidth | None = None
    """How fast the ranks exchange data; measured once, in the first attempt of a pipeline on several ranks."""
    eta: str | None = None
    """The time still needed, as in 2m40s."""
    time: datetime | None = None
    """When this was reported."""
