"""The stages of a pipeline job, in order: each takes the run and adds to it."""

from collections.abc import Callable
from typing import Final

from dltrain_trainer.run import Run
from dltrain_trainer.stages import data, evaluate, export, train

STAGES: Final[dict[str, Callable[[Run], None]]] = {
    "data": data.run,
    "train": train.run,
    "evaluate": evaluate.run,
    "export": export.run,
}
