"""The export stage: model, results, evaluation and report on the storage, and the results to the agent."""

from __future__ import annotations

from typing import Final

from dltrain.api.status import Results
from dltrain_trainer.evaluation.measure import artefacts
from dltrain_trainer.export import save
from dltrain_trainer.files import write_atomically
from dltrain_trainer.report.page import FILE, render_report
from dltrain_trainer.run import Run
from dltrain_trainer.stages.facts import report_data

COMPARED_SAMPLES: Final = 64
RESULTS_FILE: Final = "results.json"


def run(run: Run) -> None:
    """Write everything, by the first rank, while the others wait for it.

    Raises:
        CheckpointError: the storage refuses.
    """
    if run.is_first:
        write(run)
    run.communicator.barrier()


def write(run: Run) -> None:
    """Write everything, the results last.

    Raises:
        CheckpointError: the storage refuses.
    """
    metrics = run.measured.metrics
    save(run.artifact, run.output, metrics, run.data.dataset.test.inputs[:COMPARED_SAMPLES])
    for name, content in artefacts(run.measured).items():
        write_atomically(run.output / name, content)
    write_atomically(run.output / FILE, render_report(report_data(run)).encode())
    results = Results(metrics=metrics, artifacts=str(run.output), train_seconds=round(run.train_seconds, 3))
    write_atomically(run.output / RESULTS_FILE, results.model_dump_json(by_alias=True, indent=2).encode())
    run.progress.results(results)
