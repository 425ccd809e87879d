"""What Horovod's ranks make of a job: trained twice from scratch, and once from the middle."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from dltrain.api.parse import parse_job_file
from dltrain_trainer.distributed import connect
from dltrain_trainer.distributed.device import rank_device
from dltrain_trainer.stages import evaluate
from tests.trainer.builders import trained
from tests.trainer.mpi import tell


def main(folder: str, job_file: str, outputs: str) -> None:
    """Train, and say what the last model is right about."""
    job, rank_folder = parse_job_file(Path(job_file)), Path(outputs)
    torch.set_num_threads(1)
    communicator = connect()
    rank_device(communicator.local_rank)
    for name in ("one", "two"):
        trained(job, rank_folder / name, communicator)
    resumed = rank_folder / "resumed"
    if communicator.rank == 0:
        newest = max((rank_folder / "one" / "checkpoints").iterdir())
        shutil.copytree(rank_folder / "one", resumed, ignore=shutil.ignore_patterns(newest.name))
    communicator.barrier()
    run = trained(job, resumed, communicator)
    evaluate.run(run)
    communicator.close()
    tell(folder, communicator.rank, {"metrics": run.measured.metrics, "compilers": "torch._dynamo" in sys.modules})


if __name__ == "__main__":
    main(*sys.argv[1:])
