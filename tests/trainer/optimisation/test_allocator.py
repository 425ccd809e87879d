"""What a step frees is there for the next one, without the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from dltrain_trainer.training.allocator import keep_freed_memory

def step():
    return len([torch.ones(size << 20, dtype=torch.uint8) for size in (48, 8, 40)])

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many page faults five steps of 96 MiB have after the first three."""


@pytest.mark.parametrize(("how", "least", "most"), [("as by default", 10_000, 1_000_000), ("kept", 0, 50)])
def test_memory_that_is_freed_and_asked_for_again_costs_faults_only_by_default(how: str, least: int, most: int) -> None:
    run = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True, timeout=120)
    assert least <= int(run.stdout) <= most
