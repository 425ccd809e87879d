"""What a rank uses."""

from __future__ import annotations

from pathlib import Path

import torch

from dltrain_trainer.training.usage import usage_of


def test_memory_is_the_most_that_the_process_has_held_and_there_is_none_of_a_gpu() -> None:
    used = usage_of(3, 1.23456, torch.device("cpu"))
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    assert (used.rank, used.compute_seconds, used.gpu_memory_mebibytes) == (3, 1.235, None)
    assert abs(used.memory_mebibytes - peak // 1024) <= 1
