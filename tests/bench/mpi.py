"""Running a program of the benchmarks as ranks of real MPI on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from dltrain_agent.launch import TCP_FABRIC, launch_environment, program
from tests.bench.failure import BenchFailure

ROOT = Path(__file__).parents[2]


def run_program(module: ModuleType, arguments: Sequence[str], *, ranks: int, seconds: float) -> None:
    """Run a module on some ranks to its end, one thread each.

    Args:
        module: has a `main`.
        arguments: its.
        ranks: how many.
        seconds: after which it is ended.

    Raises:
        BenchFailure: it failed, or was ended.
    """
    path = os.pathsep.join(str(ROOT / each) for each in (".", "sdk", "trainer_image"))
    environment = launch_environment({**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    command = [
        *(program("mpirun"), "-np", str(ranks), "--host", f"localhost:{ranks}", "--bind-to", "none"),
        *(word for name, value in TCP_FABRIC.items() for word in ("--mca", name, value)),
        *(sys.executable, "-m", module.__name__, *arguments),
    ]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise BenchFailure(f"{module.__name__} was not done after {seconds:g} s") from late
    if done.returncode:
        raise BenchFailure(f"{module.__name__} failed: {(done.stderr or done.stdout)[-2000:]}")
