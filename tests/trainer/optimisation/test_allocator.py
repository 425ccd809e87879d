"""What a step frees is there for the next one, without the kernel."""

from __future__ import annotations

import subprocess
import sys

STEPS = """
import resource, sys
from dltrain_trainer.training.allocator import give_back_freed_memory, keep_freed_memory

def resident():
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return int(fields["VmRSS"].split()[0]) >> 10

def step():
    return len([b"x" * (size << 20) for size in (48, 48)])

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
faults, kept = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, resident()
give_back_freed_memory()
print(faults, kept - resident())
"""
"""Prints how many page faults five steps of 96 MiB have after the first ten, and the MiB that are then given back."""


def of_steps(how: str) -> tuple[int, int]:
    """The page faults of the steps, and the MiB that are given back after them."""
    run = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True, timeout=120)
    faults, given_back = map(int, run.stdout.split())
    return faults, given_back


def test_memory_that_is_freed_and_asked_for_again_costs_faults_only_by_default() -> None:
    assert of_steps("as by default")[0] > 10_000
    assert of_steps("kept")[0] < 50


def test_what_was_kept_is_given_back_after_training() -> None:
    assert of_steps("kept")[1] >= 90
