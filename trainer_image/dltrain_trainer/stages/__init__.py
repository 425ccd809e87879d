"""The stages of a pipeline job, in order: each takes the run and adds to it."""

from collections.abc import Callable
from typing import Final

from dltrain.api.pipeline import Pipeline
from dltrain_trainer.run import Run
from dltrain_trainer.stages import data, evaluate, export, train

Stage = Callable[[Run], None]


def run_compression(run: Run) -> None:
    """The compression stage, whose libraries are extras that other jobs do without.

    Raises:
        FinalError: a required compression does not pass.
    """
    from dltrain_trainer.stages import compress  # noqa: PLC0415 - extras, and slow to import

    compress.run(run)


STAGES: Final[dict[str, Stage]] = {
    "data": data.run,
    "train": train.run,
    "compress": run_compression,
    "evaluate": evaluate.run,
    "export": export.run,
}


def stages_of(pipeline: Pipeline) -> dict[str, Stage]:
    """The stages that a pipeline has, in order."""
    return {name: stage for name, stage in STAGES.items() if name != "compress" or pipeline.compress is not None}
