"""The data stage: reads the data, checks it against the job, fits the preprocessing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from dltrain.api.pipeline import Pipeline
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.prepared import prepare_data
from dltrain_trainer.errors import DataError, TrainerError
from dltrain_trainer.run import Run
from dltrain_trainer.stages.checks import job_problems

EXTRAS: Final = ("onnx", "onnxruntime", "onnxscript", "torch_pruning")


def run(run: Run) -> None:
    """Make the data ready.

    Raises:
        DataError: the data is missing, damaged, or does not fit the job.
    """
    settings = run.pipeline.data
    check_extras(run.pipeline)
    loaded = load_data(settings, run.progress.say)
    if problems := job_problems(run.pipeline, loaded.dataset, run.communicator.size):
        raise DataError("\n".join(problems))
    run.data = prepare_data(loaded, settings, run.communicator.team)


def check_extras(pipeline: Pipeline) -> None:
    """See that what later stages need is installed: better now than after the training.

    Raises:
        TrainerError: something is missing.
    """
    missing = [name for name in EXTRAS if find_spec(name) is None] if pipeline.compress else []
    if missing:
        remedy = "pip install 'dltrain[compression]'"
        raise TrainerError(f"spec.pipeline.compress: needs packages that are not installed, {missing[0]}; {remedy}")
