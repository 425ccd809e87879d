"""Which device a rank computes on.

The GPU path was not run: no GPU was at hand.  It is the CPU path with tensors elsewhere, and the two settings below.
"""

from __future__ import annotations

import os

import torch
from torch import nn

CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it cuBLAS may sum in another order each time (NVIDIA's cuBLAS guide, "Results reproducibility")."""


def rank_device(local_rank: int) -> torch.device:
    """The device of a rank: a GPU of its own where its machine has any, else the CPU; made to repeat its results.

    Args:
        local_rank: the rank among those of its machine, from 0.
    """
    available = torch.cuda.is_available()
    # A few CUDA kernels (the gradient of a maximum, say) have no deterministic form: better a warning than no training.
    torch.set_deterministic_debug_mode("warn" if available else "error")
    # A safeguard against reading memory that was never written; it costs a small model a tenth of its time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set by a property
    if not available:
        return torch.device("cpu")
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def device_of(model: nn.Module) -> torch.device:
    """The device that holds a model's weights."""
    return next(model.parameters()).device
