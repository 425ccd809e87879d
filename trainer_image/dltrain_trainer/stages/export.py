"""The export stage: model, results, evaluation and report on the storage, and the results to the agent."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from dltrain.api.status import Results
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.evaluation.measure import artefacts
from dltrain_trainer.export import save
from dltrain_trainer.files import write_atomically
from dltrain_trainer.report.page import FILE, render_report
from dltrain_trainer.run import Run
from dltrain_trainer.stages.facts import report_data

COMPARED_SAMPLES: Final = 64
RESULTS_FILE: Final = "results.json"
GRAPH_FILE: Final = "model.onnx"


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
    metrics, sample = run.measured.metrics, run.data.dataset.test.inputs[:COMPARED_SAMPLES]
    formats = run.pipeline.export.formats
    if "safetensors" in formats:
        save(run.artifact, run.output, metrics, sample)
    if "onnx" in formats:
        write_graph(run, sample)
    for name, content in artefacts(run.measured).items():
        write_atomically(run.output / name, content)
    write_atomically(run.output / FILE, render_report(report_data(run)).encode())
    results = Results(metrics=metrics, artifacts=str(run.output), train_seconds=round(run.train_seconds, 3))
    write_atomically(run.output / RESULTS_FILE, results.model_dump_json(by_alias=True, indent=2).encode())
    run.progress.results(results)


def write_graph(run: Run, sample: Tensor) -> None:
    """Write model.onnx, which takes raw samples.

    Raises:
        TrainerError: the packages for it are not installed, or the model cannot be written so.
    """
    try:
        from dltrain_trainer.export.onnx import export_onnx  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise TrainerError(
            "spec.pipeline.export.formats: onnx needs packages that are not installed; pip install 'dltrain[onnx]'"
        ) from error
    exported = export_onnx(run.artifact.model, run.artifact.preprocessing, sample)
    write_atomically(run.output / GRAPH_FILE, exported.content)
    run.progress.say(
        f"{GRAPH_FILE}: opset {exported.opset}, differs from the model by at most {exported.max_difference:.2g}"
    )
