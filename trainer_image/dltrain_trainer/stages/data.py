"""The data stage: reads the data, checks it against the job, fits the preprocessing."""

from __future__ import annotations

from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.prepared import prepare_data
from dltrain_trainer.errors import DataError
from dltrain_trainer.run import Run
from dltrain_trainer.stages.checks import job_problems


def run(run: Run) -> None:
    """Make the data ready.

    Raises:
        DataError: the data is missing, damaged, or does not fit the job.
    """
    settings = run.pipeline.data
    loaded = load_data(settings, run.progress.say)
    if problems := job_problems(run.pipeline, loaded.dataset, run.communicator.size):
        raise DataError("\n".join(problems))
    run.data = prepare_data(loaded, settings, run.communicator.team)
