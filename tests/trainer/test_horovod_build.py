"""What Horovod was built with, as `horovodrun --check-build` would tell: the wheel that the trainer image has, too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import horovod
import horovod.torch as hvd
import torch


def library() -> Path:
    """Horovod's library for torch."""
    [found] = Path(horovod.__file__).parent.glob("torch/mpi_lib_v2*.so")
    return found


def test_horovod_has_nccl_mpi_and_gloo() -> None:
    built = {"nccl": hvd.nccl_built() > 0, "mpi": hvd.mpi_built(), "gloo": hvd.gloo_built(), "cuda": hvd.cuda_built()}
    assert built == dict.fromkeys(built, True)


def test_its_nccl_is_the_one_that_torch_brings() -> None:
    major, minor, patch = torch.cuda.nccl.version()
    assert hvd.nccl_built() == 10_000 * major + 100 * minor + patch
    needed = subprocess.run(["ldd", library()], capture_output=True, text=True, check=True).stdout
    assert "libnccl.so.2" in needed


def test_the_library_has_no_symbols_for_debuggers() -> None:
    assert library().stat().st_size < 10_000_000
