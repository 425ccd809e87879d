"""The export stage: model, results, evaluation and report on the storage, and the results to the agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from dltrain.api.compress import Quantize
from dltrain.api.status import Results
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.evaluation.measure import artefacts
from dltrain_trainer.export import save
from dltrain_trainer.files import deliver
from dltrain_trainer.report.page import FILE, render_report
from dltrain_trainer.run import Run
from dltrain_trainer.stages.facts import report_data

COMPARED_SAMPLES: Final = 64
RESULTS_FILE: Final = "results.json"
GRAPH_FILE: Final = "model.onnx"
INT8_FILE: Final = "model.int8.onnx"
COMPRESSED_FILE: Final = "compressed.onnx"
PROGRAM_FILE: Final = "model.pt2"


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
        save(run.artifact, run.output, run.measured_unquantized.metrics, sample)
    for name, content in graphs(run, sample):
        deliver(run.output / name, content)
    for name, content in artefacts(run.measured).items():
        deliver(run.output / name, content)
    page = render_report(report_data(run)).encode(errors="replace")  # a folder's name, which is a class, may be none
    deliver(run.output / FILE, page)
    results = Results(
        metrics=metrics,
        artifacts=str(run.output),
        train_seconds=round(run.train_seconds, 3),
        compression=run.rows,
    )
    deliver(run.output / RESULTS_FILE, results.model_dump_json(by_alias=True, indent=2).encode())
    run.progress.results(results)


def graphs(run: Run, sample: Tensor) -> Iterator[tuple[str, bytes]]:
    """The other files that a job asks for, each read back and compared: name and content.

    Raises:
        TrainerError: the packages for one are not installed, or the model cannot be written so.
    """
    formats, preprocessing = set(run.pipeline.export.formats), run.artifact.preprocessing
    if not formats - {"safetensors"} and run.pipeline.compress is None:
        return
    with needed_packages():
        from dltrain_trainer.export.onnx import export_onnx, export_quantized  # noqa: PLC0415 - an extra, and slow
        from dltrain_trainer.export.program import export_program  # noqa: PLC0415 - the same

    if "onnx" in formats:
        exported = export_onnx(run.artifact.model, preprocessing, sample)
        difference = f"differs from the model by at most {exported.max_difference:.2g}"
        run.progress.say(f"{GRAPH_FILE}: opset {exported.opset}, {difference}")
        yield GRAPH_FILE, exported.content
    if run.rows and run.rows[0].file_bytes is None:
        run.progress.say(f"no {COMPRESSED_FILE}: the trained model could not be measured as a graph")
    elif run.pipeline.compress is not None:
        yield COMPRESSED_FILE, compressed(run, sample)
    if "onnxInt8" in formats:
        yield INT8_FILE, export_quantized(int8(run), preprocessing, sample)
    if "torchExport" in formats:
        yield PROGRAM_FILE, export_program(run.artifact.model, preprocessing, sample)


def compressed(run: Run, sample: Tensor) -> bytes:
    """What the compression has come to, for raw samples: the quantised graph, or the model."""
    from dltrain_trainer.export.onnx import export_onnx, export_quantized  # noqa: PLC0415 - an extra, and slow

    preprocessing = run.artifact.preprocessing
    if run.graph is not None:
        return export_quantized(run.graph, preprocessing, sample)
    return export_onnx(run.artifact.model, preprocessing, sample).content


def int8(run: Run) -> bytes:
    """The model with weights and activations in int8, for prepared samples: the compression's, or calibrated here.

    Raises:
        ExportError: it cannot be written so.
    """
    from dltrain_trainer.compression.calibration import calibration_indices  # noqa: PLC0415 - an extra, and slow
    from dltrain_trainer.compression.int8 import is_int8, quantize_by_ranges  # noqa: PLC0415 - the same
    from dltrain_trainer.compression.problems import CompressionError  # noqa: PLC0415 - the same
    from dltrain_trainer.export.graph import ExportError, graph_of  # noqa: PLC0415 - the same

    if run.graph is not None and is_int8(run.graph):
        return run.graph
    train, wanted = run.data.dataset.train.inputs, run.pipeline.export.samples
    indices = calibration_indices(len(train), min(wanted, len(train)), run.pipeline.train.seed)
    with torch.no_grad():
        prepared = run.data.prepare.to(run.device)(train[indices].to(run.device)).cpu()
    try:
        graph = graph_of(run.artifact.model, prepared)
        result = quantize_by_ranges(graph, prepared.numpy(), Quantize(max_float_layers=0), lambda _: True)
    except (CompressionError, ExportError) as error:
        raise ExportError(f"spec.pipeline.export.formats: onnxInt8 cannot hold the model: {error}") from error
    return bytes(result.graph.SerializeToString())


@contextmanager
def needed_packages() -> Iterator[None]:
    """Say which extra has the packages that an import lacks.

    Raises:
        TrainerError: an import inside the block failed.
    """
    try:
        yield
    except ImportError as error:
        raise TrainerError(
            "spec.pipeline.export.formats: onnx needs packages that are not installed; pip install 'dltrain[onnx]'"
        ) from error
