"""What a step frees is there for the next one, without the kernel."""

from __future__ import annotations

import subprocess
import sys

STEPS = """
import resource, sys
import torch
from dltrain_trainer.training.allocator import freed_memory_is_kept

def resident():
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return int(fields["VmRSS"].split()[0]) >> 10

def step():
    return len([b"x" * (48 << 20) for _ in range(2)])

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

with freed_memory_is_kept(torch.device("cpu")):
    for _ in range(10):
        step()
    before = faults()
    for _ in range(5):
        step()
    while_kept, kept = faults() - before, resident()
given_back, before = kept - resident(), faults()
step()
print(while_kept, given_back, faults() - before)
"""
"""Prints how many page faults five steps of 96 MiB have within the context, how many MiB are given back at its end, and
how many page faults one step has after it."""


def test_memory_that_a_step_frees_is_kept_for_the_next_one_and_given_back_at_the_end() -> None:
    run = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True, timeout=120)
    while_kept, given_back, after = map(int, run.stdout.split())
    assert while_kept < 50
    assert given_back >= 90
    assert after > 10_000
