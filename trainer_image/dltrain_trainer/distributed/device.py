"""Which device a rank computes on.

The GPU path was not run: no GPU was at hand.  It is the CPU path with tensors elsewhere, and the two settings below.
"""

from __future__ import annotations

import logging
import os

import torch
from torch import nn

from dltrain.api.workers import GPU_RESOURCE
from dltrain.hardware import driver_version, gpu_count
from dltrain_trainer.errors import FinalError

CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it cuBLAS may sum in another order each time (NVIDIA's cuBLAS guide, "Results reproducibility")."""


def rank_device(local_rank: int, *, wants_gpu: bool = False) -> torch.device:
    """The device of a rank: a GPU of its own where its machine has any, else the CPU; made to repeat its results.

    Args:
        local_rank: the rank among those of its machine, from 0.
        wants_gpu: whether the job asks for GPUs.

    Raises:
        FinalError: the job asks for GPUs, and torch cannot use those that are there.
    """
    available = torch.cuda.is_available()
    # A few CUDA kernels (the gradient of a maximum, say) have no deterministic form: better a warning than no training.
    torch.set_deterministic_debug_mode("warn" if available else "error")
    # A safeguard against reading memory that was never written; it costs a small model a tenth of its time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set by a property
    if not available:
        if wants_gpu:
            explain_absence(local_rank, gpu_count(), driver_version())
        return torch.device("cpu")
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def explain_absence(local_rank: int, gpus: int, driver: str) -> None:
    """Say that a job that asks for GPUs computes on CPUs, if it may: expensive nodes would idle without a word.

    Args:
        local_rank: the first rank of a machine speaks for all.
        gpus: what the pod has been given.
        driver: the version of the node's driver.

    Raises:
        FinalError: the pod has been given GPUs.
    """
    if gpus:
        raise FinalError(
            f"this pod has {gpus} GPUs that torch cannot use: torch is built for CUDA {torch.version.cuda}, and the "
            f"node's driver is {driver or 'unknown'}; take nodes with a newer driver (CUDA 13 needs 580), or an image "
            "whose torch is built for an older CUDA"
        )
    if local_rank == 0:
        logging.getLogger(__name__).warning(
            "the job asks for %s, and there is no GPU here: it computes on the CPU", GPU_RESOURCE
        )


def device_of(model: nn.Module) -> torch.device:
    """The device that holds a model's weights."""
    return next(model.parameters()).device
