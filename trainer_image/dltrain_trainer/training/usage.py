"""What this rank uses of its machine."""

from __future__ import annotations

import resource
import sys
from typing import Final

import torch

from dltrain.api.progress import RankUsage

MEBIBYTE: Final = 1 << 20
UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""Bytes that getrusage counts memory in."""


def usage_of(rank: int, compute_seconds: float, device: torch.device) -> RankUsage:
    """The most memory that this process has held so far, and of its GPU.

    Args:
        rank: this one.
        compute_seconds: how long it has computed in an epoch.
        device: where it computes.
    """
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    taken = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
    return RankUsage(
        rank=rank,
        compute_seconds=round(compute_seconds, 3),
        memory_mebibytes=held // MEBIBYTE,
        gpu_memory_mebibytes=None if taken is None else taken // MEBIBYTE,
    )
