"""How the ranks of a job share their gradients and statistics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dltrain.api.base import SpecModel
from dltrain.api.choices import only_with


class PowerSgd(SpecModel):
    """Gradients as products of two thin matrices (Vogels et al. 2019); what a step leaves out is added to the next."""

    rank: Annotated[int, Field(ge=1, le=64)] = 2
    """The columns of the thin matrices: more are more exact, and more to send."""


class HorovodTuning(SpecModel):
    """Settings of Horovod's own; what is absent stays as Horovod has it, or as the worker's environment says."""

    hierarchical_allreduce: bool | None = None
    """Whether the ranks of one machine sum among themselves before machines do (needs NCCL)."""
    cycle_milliseconds: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """How long Horovod waits between two looks at what is ready to be summed; by default 0.3."""
    fusion_mebibytes: Annotated[int, Field(ge=0, le=65_536)] | None = None
    """How much it sums at once; 0 sums each bucket by itself."""
    cache_capacity: Annotated[int, Field(ge=0, le=1_048_576)] | None = None
    """How many answers about what is ready it remembers; 0 remembers none."""
    nccl_streams: Annotated[int, Field(ge=1, le=16)] | None = None
    """How many CUDA streams its NCCL operations use."""


class Communication(SpecModel):
    """How the ranks share their gradients and statistics."""

    rules = (only_with("power_sgd", "compression", "powerSgd"),)
    compression: Literal["none", "fp16", "bf16", "powerSgd"] = "none"
    """How gradients travel: as fp32 (none), in half the bytes (fp16, or bf16 with backend ddp), or as thin matrices."""
    power_sgd: PowerSgd | None = None
    """The options of powerSgd."""
    bucket_mebibytes: Annotated[float, Field(gt=0, le=1024)] = 4.0
    """How much of the gradients travels in one message, at least; the smaller, the sooner the first is on its way."""
    sync_batch_norm: bool = False
    """Whether batch normalisation uses the statistics of the global batch instead of each rank's share."""
    horovod: HorovodTuning | None = None
    """Settings of backend horovod."""
