"""Starting a script of tests/trainer/ranks as ranks of real MPI and Horovod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dltrain_agent.launch import TCP_FABRIC, launch_environment, program

ROOT = Path(__file__).parents[2]
DEADLINE = 120


def run_ranks(script: str, folder: Path, *arguments: str | Path, size: int = 2) -> list[dict[str, Any]]:
    """Run a script on some ranks of this machine to its end; what each has found.

    Args:
        script: a module of tests.trainer.ranks; it calls `tell`.
        folder: where the ranks leave what they found, and nobody else leaves anything.
        arguments: the script's, after the folder.
        size: how many ranks.
    """
    command, environment = ranks_of(f"tests.trainer.ranks.{script}", size, folder, *arguments)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            output, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.terminate()  # mpirun ends its ranks; nothing to do where it has ended
    assert process.returncode == 0, output.decode()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def ranks_of(module: str, size: int, *arguments: str | Path) -> tuple[list[str], dict[str, str]]:
    """The command that starts a module as some ranks of this machine, and its environment."""
    path = os.pathsep.join(str(ROOT / each) for each in (".", "sdk", "trainer_image"))
    environment = launch_environment({**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    command = [
        *(program("mpirun"), "-np", str(size), "--host", f"localhost:{size}", "--bind-to", "none"),
        *(word for name, value in TCP_FABRIC.items() for word in ("--mca", name, value)),
        *(sys.executable, "-m", module, *map(str, arguments)),
    ]
    return command, environment


def tell(folder: str, rank: int, found: dict[str, Any]) -> None:
    """Leave what a rank has found where the test reads it."""
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
