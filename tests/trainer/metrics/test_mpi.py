"""Metrics over real MPI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dltrain.api.evaluate import Evaluate, metrics_for
from dltrain_trainer.evaluation.measure import artefacts, measure
from tests.trainer.group import ALONE
from tests.trainer.metrics.builders import of_task

ROOT = Path(__file__).resolve().parents[3]
MPIRUN = Path(sys.executable).with_name("mpirun")
FABRIC = ("--mca", "pml", "ob1", "--mca", "btl", "self,sm,tcp", "--mca", "mpi_yield_when_idle", "1")
AS_ROOT = {f"{program}_ALLOW_RUN_AS_ROOT{suffix}": "1" for program in ("OMPI", "PRTE") for suffix in ("", "_CONFIRM")}


def test_ranks_of_mpi_measure_the_same_to_the_bit_as_one_alone(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.trainer.metrics.mpi_program", str(tmp_path)]
    command = [str(MPIRUN), "-np", "2", "--oversubscribe", "--bind-to", "none", *FABRIC, *program]
    paths = os.pathsep.join(str(ROOT / folder) for folder in (".", "sdk", "trainer_image"))
    environment = os.environ | AS_ROOT | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=120, env=environment, cwd=ROOT)
    for task in ("classification", "multilabel", "regression"):
        alone = artefacts(measure(of_task(task, 3000), Evaluate(metrics=metrics_for(task)), ALONE))
        assert {name: (tmp_path / f"{task}-{name}").read_bytes() for name in alone} == alone
