"""`python -m dltrain_trainer`: one rank of a pipeline job."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Final

import torch

from dltrain import names
from dltrain.api.parse import parse_job_file
from dltrain.errors import SpecError
from dltrain.pulse import Pulse, pulse_file
from dltrain.reporting import reporter
from dltrain_trainer.distributed import connect
from dltrain_trainer.distributed.bandwidth import measure, told
from dltrain_trainer.distributed.device import rank_device
from dltrain_trainer.errors import DataAwayError, DataError, DivergedError, FinalError, ToldToEndError, TrainerError
from dltrain_trainer.files import make_folder
from dltrain_trainer.progress import Progress
from dltrain_trainer.run import Run
from dltrain_trainer.stages import stages_of

EXIT_FAILED: Final = 1
EXIT_CODES: Final[dict[type[Exception], int]] = {
    DataAwayError: names.EXIT_DATA_AWAY,
    DataError: names.EXIT_BAD_DATA,
    DivergedError: names.EXIT_NOT_A_NUMBER,
    FinalError: names.EXIT_DO_NOT_RETRY,
    SpecError: names.EXIT_DO_NOT_RETRY,
}
"""What is known of an error, for the agent; the first that fits."""


def main() -> None:
    """Run every stage; a failed rank ends at once, so that the first to fail is the first to end."""
    faulthandler.register(signal.SIGUSR1)  # an agent that finds this rank standing still asks where
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        code = run_stages()
    except (TrainerError, SpecError) as error:
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), EXIT_FAILED)
        fail("\n".join(f"error: {line}" for line in str(error).splitlines()), code)
    except BaseException:  # noqa: BLE001 - whatever it is, this rank must not wait for others at exit
        fail(traceback.format_exc())
    else:
        sys.exit(code)


def run_stages() -> int:
    """Run the pipeline of the job that the environment names; the exit code.

    Raises:
        SpecError: the job file is not a valid pipeline job.
        TrainerError: the job or its data cannot be trained with.
    """
    job = parse_job_file(path_from(names.JOB_FILE_VARIABLE))
    pipeline = job.spec.pipeline
    if pipeline is None:
        raise TrainerError("spec.pipeline: is required to run the trainer; jobs with a command run that instead")
    output = path_from(names.OUTPUT_VARIABLE)
    make_folder(output)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    communicator = connect(job.spec.backend, pipeline.train.communication.horovod)
    device = rank_device(communicator.local_rank, wants_gpu=job.spec.workers.gpus > 0)
    progress = Progress(reporter(), communicator.rank)
    attempt = int(os.environ.get(names.ATTEMPT_VARIABLE, "1"))
    run = Run(job.name, pipeline, job.spec.checkpoint, output, attempt, communicator, device, progress)
    run.snapshots = Path(folder) if (folder := os.environ.get(names.SNAPSHOT_VARIABLE)) else None
    run.pulse = Pulse(pulse_file(run.snapshots, communicator.rank) if run.snapshots else None)
    run.fail_on_nan = job.spec.guards.fail_on_nan
    if job.spec.guards.preflight and attempt == 1 and communicator.size > 1:
        look_at_network(run)
    code = run_each(run)
    communicator.close()
    return code


def look_at_network(run: Run) -> None:
    """Measure and tell how fast the ranks exchange data."""
    run.progress.bandwidth = measure(run.communicator, run.device, socket.gethostname())
    if run.is_first:
        run.progress.say(told(run.progress.bandwidth))


def run_each(run: Run) -> int:
    """Run every stage, or those before one in which a rank is told to end; the exit code."""
    try:
        for name, stage in stages_of(run.pipeline).items():
            run.progress.stage(name)
            stage(run)
    except ToldToEndError as told:
        run.progress.say(str(told))
        return names.EXIT_TOLD_TO_END
    return 0


def path_from(variable: str) -> Path:
    """The path that a variable of the environment holds.

    Raises:
        TrainerError: it holds none.
    """
    if not (value := os.environ.get(variable)):
        raise TrainerError(f"{variable}: is not set; an agent sets it, or set it by hand to run one rank alone")
    return Path(value)


def fail(message: str, code: int = EXIT_FAILED) -> None:
    """End this rank, without the farewell of MPI and Horovod, which would wait for ranks that wait for this one."""
    try:
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - the last words of a rank
        sys.stdout.flush()
    finally:  # even if nobody listens any more
        os._exit(code)


if __name__ == "__main__":
    main()
