"""Whole jobs on GPUs of this machine, gradients summed by NCCL.

No GPU was at hand when this was written: these tests have not run yet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import torch

from tests.trainer.builders import losses

EXAMPLES: Final = Path(__file__).parents[2] / "manifests" / "examples"
FEWER: Final = ["--set", "spec.pipeline.data.limit.train=8192", "--set", "spec.pipeline.train.epochs=1"]

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]


def run(example: str, output: Path, gpus: int) -> str:
    """Run an example here on some GPUs; what it prints."""
    command = [sys.executable, "-m", "dltrain", "run", str(EXAMPLES / example / "job.yaml"), *FEWER]
    gpu = ["--set", f"spec.workers.resources.limits[nvidia.com/gpu]={gpus}"]
    done = subprocess.run(
        [*command, *gpu, "--output-dir", str(output)],
        env={**os.environ, "NCCL_DEBUG": "INFO"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_one_gpu_trains_in_bf16(tmp_path: Path) -> None:
    run("11-one-gpu", tmp_path, 1)
    found = losses(tmp_path)
    assert found[-1] < found[0] / 2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two NVIDIA GPUs")
def test_all_gpus_sum_their_gradients_with_nccl_to_what_one_gets(tmp_path: Path) -> None:
    gpus = 2 ** (torch.cuda.device_count().bit_length() - 1)
    said = run("12-eight-gpu", tmp_path / "all", gpus)
    assert len(set(re.findall(r"\[rank (\d+)\].*NCCL INFO", said))) == gpus
    run("12-eight-gpu", tmp_path / "one", 1)
    assert losses(tmp_path / "all") == pytest.approx(losses(tmp_path / "one"), rel=0.05)
