"""The export stage: the model and the results on the storage, and to the agent."""

from __future__ import annotations

from dltrain.api.status import Results
from dltrain_trainer.export import save
from dltrain_trainer.files import write_atomically
from dltrain_trainer.run import Run

COMPARED_SAMPLES = 64


def run(run: Run) -> None:
    """Write the model and the results; by the first rank, while the others wait for it.

    Raises:
        CheckpointError: the storage refuses.
    """
    if run.is_first:
        save(run.artifact, run.output, run.metrics, run.dataset.test.images[:COMPARED_SAMPLES])
        seconds = round(run.train_seconds, 3)
        results = Results(metrics=run.metrics, artifacts=str(run.output), train_seconds=seconds)
        write_atomically(run.output / "results.json", results.model_dump_json(by_alias=True, indent=2).encode())
        run.progress.results(results)
    run.communicator.barrier()
