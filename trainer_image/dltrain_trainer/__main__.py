"""`python -m dltrain_trainer`: one rank of a pipeline job."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from pathlib import Path

import torch

from dltrain import names
from dltrain.api.parse import parse_job_file
from dltrain.errors import SpecError
from dltrain.report import reporter
from dltrain_trainer.distributed import Communicator, connect
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.progress import Progress
from dltrain_trainer.run import Run
from dltrain_trainer.stages import STAGES

EXIT_FAILED = 1


def main() -> None:
    """Run every stage; a failed rank ends at once, so that the first to fail is the first to end."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        run_stages()
    except (TrainerError, SpecError) as error:
        fail(f"error: {error}")
    except BaseException:  # noqa: BLE001 - whatever it is, this rank must not wait for others at exit
        fail(traceback.format_exc())


def run_stages() -> None:
    """Run the pipeline of the job that the environment names.

    Raises:
        SpecError: the job file is not a valid pipeline job.
        TrainerError: the job or its data cannot be trained with.
    """
    job = parse_job_file(Path(os.environ[names.JOB_FILE_VARIABLE]))
    if job.spec.pipeline is None:
        raise TrainerError("spec.pipeline: is required to run the trainer; jobs with a command run that instead")
    output = Path(os.environ[names.OUTPUT_VARIABLE])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.use_deterministic_algorithms(mode=True)
    communicator = connect()
    place(communicator)
    run = Run(job.spec.pipeline, job.spec.checkpoint, output, communicator, Progress(reporter(), communicator.rank))
    for name, stage in STAGES.items():
        run.progress.stage(name)
        stage(run)
    communicator.close()


def place(communicator: Communicator) -> None:
    """Give each rank of a machine a GPU of its own, where there are any.  Not run yet: no GPU was at hand."""
    if torch.cuda.is_available():
        torch.cuda.set_device(communicator.local_rank % torch.cuda.device_count())
        torch.set_default_device("cuda")


def fail(message: str) -> None:
    """End this rank, without the farewell of MPI and Horovod, which would wait for ranks that wait for this one."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - the last words of a rank
    sys.stdout.flush()
    os._exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
